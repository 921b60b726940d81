// How numbers, money and times are written. Money is a decimal text to the last digit and never a float; floats are for drawing.

const DECIMALS = 12;

export const picos = (usd: string): bigint => {
  const [whole = '0', fraction = ''] = usd.replace('-', '').split('.');
  const size = BigInt(whole + fraction.padEnd(DECIMALS, '0').slice(0, DECIMALS));
  return usd.startsWith('-') ? -size : size;
};

export const usd = (sum: bigint): string => {
  const digits = (sum < 0n ? -sum : sum).toString().padStart(DECIMALS + 1, '0');
  return `${sum < 0n ? '-' : ''}${digits.slice(0, -DECIMALS)}.${digits.slice(-DECIMALS)}`;
};

// For drawing only.
export const dollars = (sum: bigint): number => Number(sum) / 10 ** DECIMALS;

// Thousands of a whole number.
export const num = (count: number | string): string => String(count).replace(/\B(?=(\d{3})+(?!\d))/g, ',');

// A measure to four digits; nothing where it is not known.
export const short = (value: number | null): string => (value === null ? '' : String(Number(value.toPrecision(4))));

export const percent = (part: number, whole: number): string =>
  whole === 0 ? '' : `${((100 * part) / whole).toFixed(1)} %`;

export const share = (part: bigint, whole: bigint): string => percent(Number(part), Number(whole));

export const change = (now: bigint, before: bigint): string => {
  if (before === 0n) return now === 0n ? '' : 'new';
  const by = (100 * Number(now - before)) / Math.abs(Number(before));
  return `${by < 0 ? '\u2212' : '+'}${Math.abs(by).toFixed(1)} %`;
};

// Strong to the cent, or to the third digit that counts; the rest dim. Thousandths stand apart by margin, so that a copy is a number.
export function Money(props: { of: bigint; currency?: boolean; signed?: boolean; estimated?: boolean }) {
  const { of: sum, currency, signed, estimated } = props;
  const value = usd(sum);
  const [whole = '0', fraction = ''] = value.replace('-', '').split('.');
  const first = fraction.search(/[1-9]/);
  const strong = whole === '0' && first >= 0 ? Math.max(2, Math.min(DECIMALS, first + 3)) : 2;
  const groups = [0, 3, 6, 9].map((begin) => {
    const cut = Math.max(begin, Math.min(begin + 3, strong));
    const dim = fraction.slice(cut, begin + 3);
    return (
      <span class={cut === begin ? 'g d' : 'g'} key={begin}>
        {fraction.slice(begin, cut)}
        {dim && <span class="t">{dim}</span>}
      </span>
    );
  });
  return (
    <data class={estimated ? 'm est' : 'm'} value={value}>
      {sum < 0n ? '\u2212' : signed && sum > 0n ? '+' : ''}
      {currency ? '$' : ''}
      {num(whole)}.{groups}
    </data>
  );
}

const MONTHS = 'January February March April May June July August September October November December'.split(' ');
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

export const month = (date: string): string => MONTHS[Number(date.slice(5, 7)) - 1] ?? '';

// `2026-11-26` to `26 November`.
export const day = (date: string): string => `${Number(date.slice(8, 10))} ${month(date)}`;

export const weekday = (date: string): string => DAYS[new Date(`${date.slice(0, 10)}T00:00:00Z`).getUTCDay()] ?? '';

// A format costs a browser some milliseconds to make, and is asked for again and again.
const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known) return known;
  const two = '2-digit';
  const made = new Intl.DateTimeFormat('en-CA', { timeZone: zone, hourCycle: 'h23', year: 'numeric', month: two, day: two, hour: two, minute: two, second: two });
  formats.set(zone, made);
  return made;
}

// The date and the time by the clocks of a zone of `2026-11-26T13:32:07.123456Z`.
export function local(time: string, zone: string): { date: string; clock: string } {
  const parts = format(zone).formatToParts(new Date(time));
  const part = (type: string): string => parts.find((one) => one.type === type)?.value ?? '00';
  return {
    date: `${part('year')}-${part('month')}-${part('day')}`,
    clock: `${part('hour')}:${part('minute')}:${part('second')}`,
  };
}

// How long ago, in the unit that says it shortest.
export function ago(time: string, now: string): string {
  const seconds = Math.max(0, Math.round((new Date(now).getTime() - new Date(time).getTime()) / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h ago` : `${Math.round(seconds / 86_400)} d ago`;
}

export const seconds = (us: number | null | undefined): string => (us === null || us === undefined ? '' : (us / 1e6).toFixed(3));

// 1.5 GiB.
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const at = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, count)) / 10)));
  const value = count / 1024 ** at;
  return `${at === 0 ? value : value.toPrecision(3)} ${units[at]}`;
}

// The clock's time of `2026-11-26T14:32:07+01:00`.
export const clock = (time: string): string => time.slice(11, 19);
