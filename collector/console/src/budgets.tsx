// What may be spent: what of it is used, and what it will be at the end of the period.

import { useApi, type Budget, type Budgets as Answer } from './api';
import { day, Money, num, picos } from './format';
import { Bar, Name, State, Table, Told } from './parts';

const ASK_AGAIN_SECONDS = 60;

// The last that was reached in the period, or that a rolling window has reached now.
const reached = (budget: Budget) =>
  budget.thresholds.filter((one) => one.crossed_at || picos(budget.spent_usd) >= picos(one.amount_usd)).at(-1);

// A day of the period in which it stands, or the length of a rolling window.
const period = ({ period: { key, from, to }, zone }: Budget): string => (zone ? `${key}, from ${day(from)} to ${day(to)}, ${zone}` : `the last ${key}`);

// Forecasts are whole dollars.
const whole = (usd: string): string => `$${num(Math.round(Number(usd)))}`;

export function Budgets(props: { isDue: boolean }) {
  const budgets = useApi<Answer>('/api/v1/budgets', '', '', ASK_AGAIN_SECONDS, props.isDue);
  const rows = budgets.data?.budgets ?? [];
  // Who has no budgets is told of none.
  if (rows.length === 0 && !budgets.failure) return null;
  return (
    <section>
      <h2>
        Budgets<small>USD, of their own periods, whatever is chosen above</small>
      </h2>
      <Told answer={budgets} what="The budgets" />
      {rows.length > 0 && <List budgets={rows} />}
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
      label="Budgets"
      rows={props.budgets}
      rowKey={(budget) => budget.name}
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
            </>
          ),
        },
        { head: 'spent', is: 'n cut', cell: (budget) => <Money of={picos(budget.spent_usd)} /> },
        { head: 'of', is: 'n cut p2', cell: (budget) => <Money of={picos(budget.amount_usd)} /> },
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
          is: 'n p2',
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
