// Dates and times of TOML in the one form in which Nix writes them.

const FORM =
  /^(?:(\d{4})-(\d{2})-(\d{2}))?(?:(^|[Tt ])(\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:([Zz])|([+-])(\d{2}):(\d{2}))?)?$/;

/**
 * The canonical form of a date, a time, or both with or without an offset from UTC: `T` between date and time, no, three,
 * six or nine digits of a second (further ones are cut off), `Z` for no offset.
 * @returns `undefined` for what is no date or time, or one that there is not
 */
export function canonicalTimestamp(text: string): string | undefined {
  const parts = FORM.exec(text);
  if (parts === null) return undefined;
  const [, year, month, day, separator, hour, minute, second, fraction = "", zulu, sign, offsetHour, offsetMinute] =
    parts;
  if (year !== undefined && !isDay(Number(year), Number(month), Number(day))) return undefined;
  const date = year === undefined ? "" : `${year}-${month}-${day}`;
  if (hour === undefined) return date === "" ? undefined : date;
  // The separator is there with the date, and an offset too.
  if ((separator === "") !== (date === "")) return undefined;
  if (date === "" && (zulu !== undefined || sign !== undefined)) return undefined;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined;
  const time = `${hour}:${minute}:${second}${canonicalFraction(fraction)}`;
  if (sign !== undefined && (Number(offsetHour) > 24 || Number(offsetMinute) > 60)) return undefined;
  const offset = sign === undefined ? (zulu === undefined ? "" : "Z") : canonicalOffset(sign, offsetHour, offsetMinute);
  return `${date}${date === "" ? "" : "T"}${time}${offset}`;
}

function isDay(year: number, month: number, day: number): boolean {
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
  return days !== undefined && day >= 1 && day <= days;
}

/** Groups of three digits, as many as say something. */
function canonicalFraction(digits: string): string {
  const nine = digits
    .slice(0, 9)
    .padEnd(9, "0")
    .replace(/(?:000)+$/, (zeros) => (zeros.length % 3 === 0 ? "" : zeros));
  return nine === "" ? "" : `.${nine}`;
}

/** As Nix does, sixty minutes are an hour. */
function canonicalOffset(sign: string, hour: string | undefined, minute: string | undefined): string {
  const minutes = 60 * Number(hour) + Number(minute);
  if (minutes === 0) return "Z";
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${sign}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}
