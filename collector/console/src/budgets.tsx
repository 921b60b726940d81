// What may be spent: what of it is used, and what it will be at the end of the period.

import { useApi, type Budget, type Budgets as Answer } from './api';
import { day, Money, num, picos } from './format';
import { distance } from './matchers';
import { Bar, Name, State, Table, Told } from './parts';
import { LIVE_MS } from './rhythm';

// The last that was reached in the period, or that a rolling window has reached now.
const reached = (budget: Budget) =>
  budget.thresholds.filter((one) => one.crossed_at || picos(budget.spent_usd) >= picos(one.amount_usd)).at(-1);

// A day of the period in which it stands, or the length of a rolling window.
const period = ({ period: { key, from, to }, zone }: Budget): string => (zone ? `${key}, from ${day(from)} to ${day(to)}, ${zone}` : `the last ${key}`);

// Forecasts are whole dollars.
const whole = (usd: string): string => `$${num(Math.round(Number(usd)))}`;

// Those that hold for calls of the filter, the nearest to it first.
function ofFilter(budgets: Budget[], match: string): Budget[] {
  if (match === '') return budgets;
  const found = budgets.map((budget) => ({ budget, far: distance(match, budget.match) })).filter((one) => one.far !== null);
  return found.sort((a, b) => (a.far ?? 0) - (b.far ?? 0)).map((one) => one.budget);
}

export function Budgets(props: { match: string; isDue: boolean }) {
  const { match } = props;
  const budgets = useApi<Answer>('/api/v1/budgets', '', '', LIVE_MS, props.isDue);
  const all = budgets.data?.budgets ?? [];
  // Who has no budgets is told of none.
  if (all.length === 0 && !budgets.failure) return null;
  return (
    <section>
      <h2>
        Budgets
        <small>USD, of their own {match ? 'calls and periods; the nearest to the filter first' : 'periods, whatever is chosen above'}</small>
      </h2>
      <Told answer={budgets} what="The budgets" />
      {all.length > 0 && <List budgets={ofFilter(all, match)} />}
    </section>
  );
}

function List(props: { budgets: Budget[] }) {
  const state = (budget: Budget) => {
    const last = reached(budget);
    if (budget.share >= 1) return <State icon="firing" is="bad">over</State>;
    return last ? <State icon="pending" is="warn">{`${last.at} reached`}</State> : <span class="dim">within</span>;
  };
  return (
    <Table
      is="budgets"
      label="Budgets"
      rows={props.budgets}
      rowKey={(budget) => budget.name}
      empty="no budget holds for these calls"
      columns={[
        {
          head: 'budget',
          cell: (budget) => (
            <>
              <Name of={budget.name} none="" />
              <small>
                {period(budget)}
                {budget.owner ? ', ' : ''}
                <bdi>{budget.owner}</bdi>
              </small>
              <small>{budget.match ? <bdi>{budget.match}</bdi> : 'all calls'}</small>
            </>
          ),
        },
        { head: 'spent', is: 'n', cell: (budget) => <Money of={picos(budget.spent_usd)} /> },
        { head: 'of', is: 'n', cell: (budget) => <Money of={picos(budget.amount_usd)} /> },
        {
          head: 'used',
          cell: (budget) => (
            <span class="st">
              <Bar percent={100 * budget.share} width={72} is={budget.share >= 1 ? 'b' : reached(budget) ? 'w' : ''} />
              {(100 * budget.share).toFixed(1)} %
            </span>
          ),
        },
        { head: 'state', cell: state },
        {
          head: 'at the end of the period',
          is: 'n',
          cell: (budget) =>
            budget.forecast ? (
              <>
                <span class="est">{whole(budget.forecast.expected_usd)}</span>
                <small>
                  {whole(budget.forecast.low_usd)} to {whole(budget.forecast.high_usd)}
                </small>
              </>
            ) : (
              <span class="dim">
                not known
                <small>{budget.no_forecast ?? ''}</small>
              </span>
            ),
        },
      ]}
    />
  );
}
