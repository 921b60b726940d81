// When what is on a page is asked anew: all of it at one beat, so that no part of the page is of another moment than the rest.

import { useEffect } from 'preact/hooks';

// Not by itself.
export const ONCE = Infinity;
export const LIVE_MS = 10_000;
// While the first call is awaited.
export const FIRST_CALL_MS = 2_000;
// Beats are so many times as far apart as the slowest of the last answers took: a page that is left open costs a large store little.
const APART = 50;
const LOOK_MS = 500;

export interface Part {
  everyMs: number;
  // What its last answer took.
  tookMs: number;
  // It is not asked again before, by the clock of `performance`.
  restsUntil: number;
  again: () => void;
}

const parts = new Set<Part>();
let last = performance.now();

function apart(): number {
  const all = [...parts];
  return Math.max(Math.min(...all.map((part) => part.everyMs)), APART * Math.max(...all.map((part) => part.tookMs)));
}

// A tab that nobody sees asks nothing; seen again it asks at once, if a beat is due.
function look(): void {
  const now = performance.now();
  if (document.visibilityState === 'hidden' || parts.size === 0 || now < last + apart()) return;
  last = now;
  for (const part of [...parts]) if (part.everyMs !== ONCE && part.restsUntil <= now) part.again();
}

setInterval(look, LOOK_MS);
document.addEventListener('visibilitychange', look);

// It has been answered that was asked then.
export function took(part: Part, asked: number): void {
  part.tookMs = performance.now() - asked;
  part.restsUntil = asked + APART * part.tookMs;
}

export function useBeat(part: Part): void {
  useEffect(() => {
    parts.add(part);
    return () => {
      parts.delete(part);
    };
  }, [part]);
}
