// Stretches of a zone's calendar as texts: the collector knows when its days begin, a browser only what day it is.

import { day, local } from './format';

export interface Stretch {
  from: string;
  to: string;
  label: string;
}

export interface Range extends Stretch {
  // As much of the stretch before it as is over of this one.
  before: Stretch;
}

const two = (n: number): string => String(n).padStart(2, '0');

const of = (date: Date): string =>
  `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`;

const parse = (date: string): Date => new Date(`${date}T00:00:00Z`);

export const addDays = (date: string, days: number): string => of(new Date(parse(date).getTime() + days * 86_400_000));

const isDate = (text: string): boolean => !Number.isNaN(parse(text).getTime()) && of(parse(text)) === text;

const addMonths = (date: string, months: number): string => {
  const at = parse(date);
  return of(new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + months, 1)));
};

const daysBetween = (from: string, to: string): number => (parse(to).getTime() - parse(from).getTime()) / 86_400_000;

// The date and the time to the minute that clocks show there now.
export function now(zone: string): { date: string; time: string } {
  const { date, clock } = local(new Date().toISOString(), zone);
  return { date, time: clock.slice(0, 5) };
}

export const ownZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';

// `1 to 30 November 2026`, of a stretch that ends before `to`.
function name(from: string, to: string): string {
  const last = addDays(to, -1);
  const year = last.slice(0, 4);
  if (from === last) return `${day(last)} ${year}`;
  const isMonth = from.slice(0, 7) === last.slice(0, 7);
  const isYear = from.slice(0, 4) === year;
  const begin = isMonth ? String(Number(from.slice(8))) : isYear ? day(from) : `${day(from)} ${from.slice(0, 4)}`;
  return `${begin} to ${day(last)} ${year}`;
}

const DAYS_MAX = 1_100;

// `today`, `7d`, `2026-11`, `2026-Q4` or `2026-11-01..2026-11-15`, both dates inside; null for anything else.
export function range(text: string, zone: string): Range | null {
  const { date, time } = now(zone);
  const ends = bounds(text, date);
  if (!ends) return null;
  const [from, to, beforeFrom] = ends;
  const whole = { from: beforeFrom, to: from, label: name(beforeFrom, from) };
  const isRunning = from <= date && date < to;
  const same = isRunning ? addDays(beforeFrom, daysBetween(from, date)) : from;
  if (same >= from) return { from, to, label: name(from, to), before: whole };
  // A stretch of no length is none.
  const by = same === beforeFrom && time === '00:00' ? '00:01' : time;
  const label = `${name(beforeFrom, addDays(same, 1))}, ${by}`;
  return { from, to, label: name(from, to), before: { from: beforeFrom, to: `${same}T${by}`, label } };
}

function bounds(text: string, today: string): [string, string, string] | null {
  if (text === 'today') return [today, addDays(today, 1), addDays(today, -7)];
  if (text === '7d') return [addDays(today, -6), addDays(today, 1), addDays(today, -13)];
  const custom = /^(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})$/.exec(text);
  if (custom?.[1] && custom[2] && isDate(custom[1]) && isDate(custom[2])) {
    const [from, to] = [custom[1], addDays(custom[2], 1)];
    const days = daysBetween(from, to);
    return days > 0 && days <= DAYS_MAX ? [from, to, addDays(from, -days)] : null;
  }
  const quarter = /^(\d{4})-Q([1-4])$/.exec(text);
  if (quarter?.[1] && quarter[2]) {
    const from = `${quarter[1]}-${two(3 * Number(quarter[2]) - 2)}-01`;
    return [from, addMonths(from, 3), addMonths(from, -3)];
  }
  const month = `${text}-01`;
  return /^\d{4}-(0[1-9]|1[0-2])$/.test(text) ? [month, addMonths(month, 1), addMonths(month, -1)] : null;
}

// The range before or after one, of its own kind.
export function beside(text: string, zone: string, by: -1 | 1): string {
  const found = range(text, zone);
  if (!found) return thisMonth(zone);
  if (/Q/.test(text)) {
    const month = addMonths(found.from, 3 * by);
    return `${month.slice(0, 4)}-Q${Math.ceil(Number(month.slice(5, 7)) / 3)}`;
  }
  if (/^\d{4}-\d{2}$/.test(text)) return addMonths(found.from, by).slice(0, 7);
  const days = by * daysBetween(found.from, found.to);
  return `${addDays(found.from, days)}..${addDays(found.to, days - 1)}`;
}

export function isZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }) !== null;
  } catch {
    return false;
  }
}

export const thisMonth = (zone: string): string => now(zone).date.slice(0, 7);

export const thisQuarter = (zone: string): string => {
  const { date } = now(zone);
  return `${date.slice(0, 4)}-Q${Math.ceil(Number(date.slice(5, 7)) / 3)}`;
};
