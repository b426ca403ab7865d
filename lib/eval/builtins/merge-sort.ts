// A stable sort that asks one question: which of two items goes first.
//
// Array.prototype.sort is stable too, but it calls its comparison from outside of compiled code, three million times
// for 200 000 items. Here V8 can inline the question.

/** Runs of this length are sorted by insertion. */
const RUN = 6;

/** Sorts in place or into a new array, and answers the sorted one; `precedes(a, b)` says that `a` must go before `b`. */
export function mergeSort<T>(items: T[], precedes: (a: T, b: T) => boolean): T[] {
  const { length } = items;
  for (let low = 0; low < length; low += RUN) insertionSort(items, low, Math.min(low + RUN, length), precedes);
  if (length <= RUN) return items;
  let from = items;
  let to = items.slice();
  for (let width = RUN; width < length; width *= 2) {
    for (let low = 0; low < length; low += 2 * width) {
      merge(from, to, low, Math.min(low + width, length), Math.min(low + 2 * width, length), precedes);
    }
    [from, to] = [to, from];
  }
  return from;
}

function insertionSort<T>(items: T[], low: number, high: number, precedes: (a: T, b: T) => boolean): void {
  for (let next = low + 1; next < high; next++) {
    const item = items[next] as T;
    let at = next;
    while (at > low && precedes(item, items[at - 1] as T)) {
      items[at] = items[at - 1] as T;
      at--;
    }
    items[at] = item;
  }
}

/** Merges the sorted runs `low … middle` and `middle … high`. */
function merge<T>(
  from: readonly T[],
  to: T[],
  low: number,
  middle: number,
  high: number,
  precedes: (a: T, b: T) => boolean,
): void {
  let left = low;
  let right = middle;
  let at = low;
  // Runs that are in order already need no further question.
  if (middle < high && precedes(from[middle] as T, from[middle - 1] as T)) {
    while (left < middle && right < high) {
      const takeRight = precedes(from[right] as T, from[left] as T);
      to[at++] = from[takeRight ? right++ : left++] as T;
    }
  }
  while (left < middle) to[at++] = from[left++] as T;
  while (right < high) to[at++] = from[right++] as T;
}
