// Who spends: the rows of a table by one dimension, or what was used by unit.

import type { Spend as Answer, SpendRow } from './api';
import { change, dollars, Money, num, percent, picos, share } from './format';
import { Bar, Name, None, Seg, Spark, Table, Unpriced } from './parts';
import { byCost, cost, estimated, isUnpriced, keyOf, table } from './sums';

export const DIMENSIONS = ['team', 'model', 'service', 'feature', 'environment', 'provider'] as const;
export const GROUPINGS = [...DIMENSIONS, 'unit'] as const;
export type Grouping = (typeof GROUPINGS)[number];

const capital = (name: string): string => name.slice(0, 1).toUpperCase() + name.slice(1);

export function Who(props: { spend: Answer; before: Answer | null; dimension: Grouping; beforeLabel: string; pick: (by: string) => void }) {
  const { spend, before, dimension, beforeLabel, pick } = props;
  return (
    <section>
      <h2>
        Who spends<small>USD; changes are on {beforeLabel}</small>
      </h2>
      <Seg label="Group by" of={GROUPINGS.map((name) => ({ value: name, text: capital(name) }))} at={dimension} pick={pick} />
      {dimension === 'unit' ? <Units spend={spend} before={before} /> : <Rows {...props} />}
    </section>
  );
}

function Rows(props: { spend: Answer; before: Answer | null; dimension: string }) {
  const { spend, before, dimension } = props;
  const found = table(spend, [dimension]);
  const rows = [...(found?.rows ?? [])].sort(byCost);
  const past = table(before, [dimension]);
  const old = new Map((past?.rows ?? []).map((row) => [keyOf(row), row]));
  const changed = (row: SpendRow): string => {
    const was = old.get(keyOf(row));
    if (!past || isUnpriced(row) || (was && isUnpriced(was))) return '';
    return change(cost(row), was ? cost(was) : 0n);
  };
  const total = spend.total;
  const priced = (row: { calls: number; unpriced_calls: number }): number => row.calls - row.unpriced_calls;
  const each = (row: SpendRow | Answer['total']): string =>
    priced(row) > 0 ? Number(((dollars(cost(row)) * 1000) / priced(row)).toPrecision(3)).toString() : '';
  return (
    <Table
      label={`Spend by ${dimension}`}
      rows={rows}
      rowKey={keyOf}
      empty={found ? 'nobody called' : <span class="sk" />}
      columns={[
        { head: dimension, cell: (row) => <Name of={row.labels[dimension]} none="(none)" />, foot: 'All' },
        {
          head: 'spend',
          is: 'n',
          cell: (row) => (isUnpriced(row) ? <Unpriced /> : <Money of={cost(row)} />),
          foot: isUnpriced(total) ? 'not known' : <Money of={cost(total)} />,
        },
        {
          head: 'of it estimated',
          is: 'n p3',
          cell: (row) => (estimated(row) === 0n ? <None /> : <Money of={estimated(row)} estimated />),
          foot: estimated(total) === 0n ? 'none' : <Money of={estimated(total)} estimated />,
        },
        {
          head: 'share',
          is: 'p2',
          cell: (row) =>
            isUnpriced(row) ? (
              ''
            ) : (
            <span class="st">
              <Bar percent={(100 * Number(cost(row))) / Number(cost(total) || 1n)} width={56} />
              {share(cost(row), cost(total))}
            </span>
          ),
        },
        {
          head: 'change',
          is: 'n p2',
          cell: changed,
          foot: before && !isUnpriced(total) ? change(cost(total), cost(before.total)) : '',
        },
        { head: 'over time', is: 'p3', cell: (row) => <Spark of={(row.parts ?? []).map((part) => dollars(cost(part)))} /> },
        { head: 'calls', is: 'n p2', cell: (row) => num(row.calls), foot: num(total.calls) },
        { head: 'per 1,000', is: 'n p3', cell: each, foot: each(total) },
        { head: 'failed', is: 'n p3', cell: (row) => percent(row.failed_calls, row.calls), foot: percent(total.failed_calls, total.calls) },
        {
          head: 'unpriced',
          is: 'n p2',
          cell: (row) => (row.unpriced_calls > 0 ? num(row.unpriced_calls) : <None />),
          foot: num(total.unpriced_calls),
        },
      ]}
    />
  );
}

// What was used and what it cost by unit. Tokens of one class, images and seconds do not add up: only their costs do.
function Units(props: { spend: Answer; before: Answer | null }) {
  const { spend, before } = props;
  const lines = Object.entries(spend.total.lines ?? {}).map(([unit, line]) => ({ unit, quantity: line.quantity, cost: picos(line.cost_usd) }));
  lines.sort((a, b) => (a.cost < b.cost ? 1 : a.cost > b.cost ? -1 : b.quantity - a.quantity));
  const old = before?.total.lines;
  const whole = cost(spend.total);
  const changed = (line: (typeof lines)[number]): string => (old ? change(line.cost, picos(old[line.unit]?.cost_usd ?? '0')) : '');
  return (
    <Table
      label="Spend by unit"
      rows={lines}
      rowKey={(line) => line.unit}
      empty={spend.total.lines ? 'nothing was used' : <span class="sk" />}
      columns={[
        { head: 'unit', cell: (line) => line.unit.replaceAll('_', ' '), foot: 'All' },
        { head: 'used', is: 'n', cell: (line) => num(line.quantity) },
        {
          head: 'spend',
          is: 'n',
          cell: (line) => (line.cost === 0n ? <span class="dim">none booked</span> : <Money of={line.cost} />),
          foot: isUnpriced(spend.total) ? 'not known' : <Money of={whole} />,
        },
        {
          head: 'share',
          is: 'p2',
          cell: (line) => (
            <span class="st">
              <Bar percent={(100 * Number(line.cost)) / Number(whole || 1n)} width={56} />
              {share(line.cost, whole)}
            </span>
          ),
        },
        { head: 'change', is: 'n p2', cell: changed, foot: before && !isUnpriced(spend.total) ? change(whole, cost(before.total)) : '' },
      ]}
    />
  );
}
