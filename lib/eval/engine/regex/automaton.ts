// The matcher of last resort: any pattern, any subject, in time proportional to the product of their sizes.
//
// libstdc++ walks its automaton depth first, by recursion. In its POSIX mode that walk is a function of state and
// position alone, `best(state, position)` = the end of the match found from there, or none:
//
//   accept            this position
//   byte set          best(next, position + 1) if the byte is in the set
//   loop              best(body, position) if that finds any match at all, else best(next, position)
//   alternation       the longer of both branches, the left one when equal
//
// so it can be remembered, which makes it linear, and it runs here on a stack of our own, so that no subject overflows
// it. Which path was taken, and with it the groups, is read off the remembered choices afterwards; groups of earlier
// loop turns stay set, as they do there.
//
// One thing is not a function of state and position: libstdc++ enters a loop at most twice in a row without consuming
// a byte. For loops whose body can be empty, those counts are the third argument, a small interned number that is 0
// again after every byte.
import { firstBytes } from "./translation.ts";
import { type ByteSet, hasByte } from "./bracket.ts";
import { isNullable, regexLimit, type RegexNode, type RegexSyntax } from "./syntax.ts";

const ACCEPT = 0;
const SET = 1;
const SAVE = 2;
const BEGIN = 3;
const END = 4;
const LOOP = 5;
const ALTERNATION = 6;

/** Entries (of four bytes) that the memory of one subject may use. */
const MEMORY_LIMIT = 96 << 20;
/** Combinations of loop counts; nested loops with empty bodies multiply them. */
const COUNTS_LIMIT = 20_000;
const PAGE_ENTRIES = 1 << 14;

/** The states of a pattern, one per index: `code`, where to go `next`, and for branches the one to try first. */
export interface Automaton {
  readonly pattern: string;
  readonly groups: number;
  readonly start: number;
  readonly code: Uint8Array;
  readonly next: Int32Array;
  /** Loops: the body. Alternations: the left branch. Sets: index of the set. Saves: the slot. */
  readonly arg: Int32Array;
  /** Branching states: their row in the memory. */
  readonly row: Int32Array;
  readonly rows: number;
  /** Loops whose body can be empty: their number; -1 otherwise. */
  readonly counter: Int32Array;
  /** 256 bytes of 0 or 1 per set. */
  readonly sets: Uint8Array;
  readonly counts: LoopCounts;
  /** Bytes that a match can begin with; `undefined` when it can be empty. */
  readonly first: ByteSet | undefined;
}

class Assembler {
  readonly code: number[] = [];
  readonly next: number[] = [];
  readonly arg: number[] = [];
  readonly counter: number[] = [];
  readonly sets: ByteSet[] = [];
  readonly #setIndex = new Map<string, number>();
  counters = 0;

  add(code: number, next: number, arg: number): number {
    this.counter.push(-1);
    this.next.push(next);
    this.arg.push(arg);
    return this.code.push(code) - 1;
  }

  /** Adds the states of a node that continues at `next`; returns the first of them. */
  build(node: RegexNode, next: number): number {
    switch (node.kind) {
      case "empty":
        return next;
      case "set":
        return this.add(SET, next, this.#set(node.set));
      case "begin":
        return this.add(BEGIN, next, 0);
      case "end":
        return this.add(END, next, 0);
      case "group": {
        const end = this.add(SAVE, next, 2 * node.index + 1);
        return this.add(SAVE, this.build(node.body, end), 2 * node.index);
      }
      case "concat":
        return node.items.reduceRight((after, item) => this.build(item, after), next);
      case "alternation":
        return node.branches
          .map((branch) => this.build(branch, next))
          .reduceRight((right, left) => this.add(ALTERNATION, right, left));
      default:
        return this.#repeat(node.body, node.min, node.max, next);
    }
  }

  #repeat(body: RegexNode, min: number, max: number, next: number): number {
    let copies = min;
    let at = next;
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.#loop(body, next);
      const turn = this.build(body, loop);
      this.arg[loop] = turn;
      at = loop;
      if (min > 0) {
        at = turn;
        copies--;
      }
    } else {
      for (let i = min; i < max; i++) {
        const option = this.#loop(body, next);
        this.arg[option] = this.build(body, at);
        at = option;
      }
    }
    for (let i = 0; i < copies; i++) at = this.build(body, at);
    return at;
  }

  #loop(body: RegexNode, next: number): number {
    const loop = this.add(LOOP, next, -1);
    if (isNullable(body)) this.counter[loop] = this.counters++;
    return loop;
  }

  #set(set: ByteSet): number {
    const key = set.join();
    let index = this.#setIndex.get(key);
    if (index === undefined) {
      index = this.sets.push(set) - 1;
      this.#setIndex.set(key, index);
    }
    return index;
  }
}

/** Builds the automaton of a parsed pattern. */
export function buildAutomaton(pattern: string, syntax: RegexSyntax): Automaton {
  const assembler = new Assembler();
  const accept = assembler.add(ACCEPT, 0, 0);
  const start = assembler.build(syntax.root, accept);
  const code = Uint8Array.from(assembler.code);
  const row = new Int32Array(code.length);
  let rows = 0;
  for (let state = 0; state < code.length; state++) if ((code[state] as number) >= LOOP) row[state] = rows++;
  const sets = new Uint8Array(256 * assembler.sets.length);
  assembler.sets.forEach((set, index) => {
    for (let byte = 0; byte < 256; byte++) if (hasByte(set, byte)) sets[256 * index + byte] = 1;
  });
  return {
    pattern,
    groups: syntax.groups,
    start,
    code,
    next: Int32Array.from(assembler.next),
    arg: Int32Array.from(assembler.arg),
    row,
    rows,
    counter: Int32Array.from(assembler.counter),
    sets,
    counts: new LoopCounts(pattern, assembler.counters),
    first: isNullable(syntax.root) ? undefined : firstBytes(syntax.root),
  };
}

/** The combinations of loop counts that occurred, by number; 0 is the one in which no loop was entered. */
class LoopCounts {
  readonly #pattern: string;
  readonly #counters: number;
  readonly #known: Uint8Array[] = [];
  readonly #numbers = new Map<string, number>();
  /** By `combination · counters + loop`: where entering the loop leads, -1 if it may not be entered. */
  readonly #entered: (number | undefined)[] = [];

  constructor(pattern: string, counters: number) {
    this.#pattern = pattern;
    this.#counters = counters;
    this.#intern(new Uint8Array(counters));
  }

  /** The combination after entering a loop; -1 when it has been entered twice without a byte in between. */
  enter(counts: number, loop: number): number {
    return (this.#entered[counts * this.#counters + loop] ??= this.#enterAnew(counts, loop));
  }

  #enterAnew(counts: number, loop: number): number {
    const after = (this.#known[counts] as Uint8Array).slice();
    if (after[loop] === 2) return -1;
    after[loop] = (after[loop] as number) + 1;
    return this.#intern(after);
  }

  #intern(counts: Uint8Array): number {
    const key = counts.join("");
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#known.push(counts) - 1;
      if (number > COUNTS_LIMIT) throw regexLimit(this.#pattern, "too many loops that can match nothing");
      this.#numbers.set(key, number);
    }
    return number;
  }
}

/** What is remembered for one combination of loop counts: pages of positions by branching states. */
class Memory {
  readonly #pages: (Int32Array | undefined)[] = [];
  readonly #rows: number;
  /** Positions per page, as a power of two. */
  readonly #shift: number;

  constructor(rows: number, positions: number) {
    this.#rows = rows;
    this.#shift = Math.max(0, Math.floor(Math.log2(Math.min(PAGE_ENTRIES / rows, 2 * positions))));
  }

  get(position: number, row: number): number {
    const page = this.#pages[position >> this.#shift];
    return page === undefined ? 0 : (page[(position & ((1 << this.#shift) - 1)) * this.#rows + row] as number);
  }

  /** Returns the number of entries that had to be added. */
  set(position: number, row: number, value: number): number {
    let page = this.#pages[position >> this.#shift];
    let added = 0;
    if (page === undefined) {
      added = this.#rows << this.#shift;
      page = new Int32Array(added);
      this.#pages[position >> this.#shift] = page;
    }
    page[(position & ((1 << this.#shift) - 1)) * this.#rows + row] = value;
    return added;
  }

  /** Forgets whole pages before the position; returns the number of entries freed. */
  forgetBefore(position: number): number {
    let freed = 0;
    for (let index = (position >> this.#shift) - 1; index >= 0 && this.#pages[index]; index--) {
      this.#pages[index] = undefined;
      freed += this.#rows << this.#shift;
    }
    return freed;
  }
}

/** Entries of a stack that is kept for the next run. */
const KEPT_STACK = 1 << 16;
/** The stack of the next run: no two runs are ever under way together. */
let stack: Int32Array = new Int32Array(1024);

/** One subject being matched or searched. */
export class Run {
  readonly #a: Automaton;
  readonly #subject: string;
  /** Whether a match must reach the end of the subject. */
  readonly #whole: boolean;
  /** By combination of loop counts; an answer is `2·(end + 2)` plus 1 if the first branch was taken; no match ends at -1. */
  readonly #memories: Memory[] = [];
  #entries = 0;
  /** Answers at the start of a search that must not find the empty match, by `counts · rows + row`. */
  #startMemory: Map<number, number> | undefined;
  /** Where an empty match would end that is not wanted; -1 when any match is. */
  #notAt = -1;
  /** The branching states that wait for an answer: state, position, counts, and the answer of the first branch. */
  #stack: Int32Array;

  constructor(automaton: Automaton, subject: string, whole: boolean) {
    this.#a = automaton;
    this.#subject = subject;
    this.#whole = whole;
    this.#stack = stack;
  }

  /** Slots of the match that starts at `from` (start and end per group, -1 where unset), if there is one. */
  matchAt(from: number, allowEmpty: boolean): Int32Array | undefined {
    this.#notAt = allowEmpty ? -1 : from;
    this.#startMemory = allowEmpty ? undefined : new Map();
    const end = this.#best(from);
    return end === -1 ? undefined : this.#replay(from, end);
  }

  /** The first match that starts at `from` or later. */
  search(from: number): Int32Array | undefined {
    const first = this.#a.first;
    for (let start = from; start <= this.#subject.length; start++) {
      if (first && (start === this.#subject.length || !hasByte(first, this.#subject.charCodeAt(start)))) continue;
      if (this.#entries > MEMORY_LIMIT / 2) this.#forgetBefore(start);
      const found = this.matchAt(start, true);
      if (found) return found;
    }
    return undefined;
  }

  #best(from: number): number {
    const { code, next, arg, sets } = this.#a;
    const subject = this.#subject;
    const length = subject.length;
    let depth = 0;
    let state = this.#a.start;
    let position = from;
    let counts = 0;
    for (;;) {
      let answer: number | undefined;
      const op = code[state] as number;
      // Walk on to the next branching state that has no answer yet, or to an end.
      if (op === SET) {
        if (position < length && sets[256 * (arg[state] as number) + subject.charCodeAt(position)] === 1) {
          position++;
          counts = 0;
          state = next[state] as number;
          continue;
        }
        answer = -1;
      } else if (op === SAVE) {
        state = next[state] as number;
        continue;
      } else if (op >= LOOP) {
        const known = this.#recall(state, position, counts);
        if (known === 0) {
          depth = this.#push(depth, state, position, counts);
          const entered = this.#enter(state, counts);
          if (entered !== -1) {
            counts = entered;
            state = arg[state] as number;
            continue;
          }
          answer = -1;
        } else {
          answer = (known >> 1) - 2;
        }
      } else {
        const step = this.#step(state, position);
        if (step !== -1 && op !== ACCEPT) {
          state = next[state] as number;
          continue;
        }
        answer = step;
      }
      // Hand the answer to the branching states that wait for it.
      while (answer !== undefined) {
        if (depth === 0) return answer;
        const top = 4 * (depth - 1);
        const stack = this.#stack;
        const waiting = stack[top] as number;
        const first = stack[top + 3] as number;
        const done = code[waiting] === LOOP ? answer !== -1 : this.#whole && answer !== -1;
        if (first === -2 && !done) {
          stack[top + 3] = answer;
          state = next[waiting] as number;
          position = stack[top + 1] as number;
          counts = stack[top + 2] as number;
          answer = undefined;
        } else {
          const choice = first === -2 || (code[waiting] === ALTERNATION && first >= answer && first !== -1) ? 0 : 1;
          if (choice === 0 && first !== -2) answer = first;
          this.#remember(waiting, stack[top + 1] as number, stack[top + 2] as number, answer, choice);
          depth--;
        }
      }
    }
  }

  /** The position after a state that does not branch; -1 where it fails. */
  #step(state: number, position: number): number {
    const { code, arg, sets } = this.#a;
    switch (code[state]) {
      case SET: {
        if (position >= this.#subject.length) return -1;
        return sets[256 * (arg[state] as number) + this.#subject.charCodeAt(position)] === 1 ? position + 1 : -1;
      }
      case BEGIN:
        return position === 0 ? position : -1;
      case END:
        return position === this.#subject.length ? position : -1;
      case ACCEPT:
        return position === this.#notAt || (this.#whole && position !== this.#subject.length) ? -1 : position;
      default:
        return position;
    }
  }

  /** Follows the remembered choices, noting the groups. */
  #replay(from: number, end: number): Int32Array {
    const { code, next, arg } = this.#a;
    const slots = new Int32Array(2 * this.#a.groups + 2).fill(-1);
    slots[0] = from;
    slots[1] = end;
    let state = this.#a.start;
    let position = from;
    let counts = 0;
    while (code[state] !== ACCEPT) {
      if (code[state] === LOOP || code[state] === ALTERNATION) {
        const choice = 1 - (this.#recall(state, position, counts) & 1);
        if (choice === 0) counts = this.#enter(state, counts);
        state = (choice === 0 ? arg[state] : next[state]) as number;
      } else {
        if (code[state] === SAVE) slots[arg[state] as number] = position;
        const after = this.#step(state, position);
        if (after > position) counts = 0;
        position = after;
        state = next[state] as number;
      }
    }
    return slots;
  }

  #push(depth: number, state: number, position: number, counts: number): number {
    if (4 * depth + 4 > this.#stack.length) {
      const grown = new Int32Array(2 * this.#stack.length);
      grown.set(this.#stack);
      this.#stack = grown;
      if (grown.length <= KEPT_STACK) stack = grown;
    }
    this.#stack[4 * depth] = state;
    this.#stack[4 * depth + 1] = position;
    this.#stack[4 * depth + 2] = counts;
    this.#stack[4 * depth + 3] = -2;
    return depth + 1;
  }

  /** 0 when there is no answer yet. */
  #recall(state: number, position: number, counts: number): number {
    const row = this.#a.row[state] as number;
    if (position === this.#notAt) return this.#startMemory?.get(counts * this.#a.rows + row) ?? 0;
    return this.#memories[counts]?.get(position, row) ?? 0;
  }

  #remember(state: number, position: number, counts: number, end: number, choice: number): void {
    const row = this.#a.row[state] as number;
    const value = 2 * (end + 2) + (1 - choice);
    if (position === this.#notAt) {
      this.#startMemory?.set(counts * this.#a.rows + row, value);
      return;
    }
    this.#entries += (this.#memories[counts] ??= new Memory(this.#a.rows, this.#subject.length + 1)).set(
      position,
      row,
      value,
    );
    if (this.#entries > MEMORY_LIMIT) {
      throw regexLimit(this.#a.pattern, `too many possibilities in a string of ${this.#subject.length} bytes`);
    }
  }

  #forgetBefore(position: number): void {
    for (const memory of this.#memories) this.#entries -= memory?.forgetBefore(position) ?? 0;
  }

  /** The loop counts behind the first way out of a branching state. */
  #enter(state: number, counts: number): number {
    const loop = this.#a.counter[state] as number;
    return loop === -1 ? counts : this.#a.counts.enter(counts, loop);
  }
}
