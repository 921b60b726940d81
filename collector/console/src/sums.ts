// Reading an answer of the finance API: exact sums, the rows of a table, what is unpriced.

import type { Spend as Answer, SpendRow, SpendTable } from './api';
import { picos } from './format';

export const sum = (of: bigint[]): bigint => of.reduce((a, b) => a + b, 0n);

export const cost = (row: { cost_usd: string }): bigint => picos(row.cost_usd);

export const estimated = (row: { estimated_usd: string }): bigint => picos(row.estimated_usd);

export const byCost = (a: SpendRow, b: SpendRow): number => (cost(a) < cost(b) ? 1 : cost(a) > cost(b) ? -1 : 0);

export const keyOf = (row: SpendRow): string => Object.values(row.labels).join('\n');

export const table = (answer: Answer | null, by: string[]): SpendTable | undefined =>
  answer?.tables.find((one) => one.by.length === by.length && by.every((name) => one.by.includes(name)));

// Nothing of its cost is known. Not by its number of calls, which is read beside the costs and may be a moment behind.
export const isUnpriced = (row: { cost_usd: string; unpriced_calls: number }): boolean => row.unpriced_calls > 0 && cost(row) === 0n;
