// What is not in the numbers, or not exactly: without a price, estimated, unread, corrected, waiting, refused.

import { useEffect, useMemo } from 'preact/hooks';
import { useApi, type Spend, type Status } from './api';
import { isZone, ownZone, range, thisMonth } from './calendar';
import { Ranges, Zones } from './controls';
import { ago, clock, Money, num, picos, share } from './format';
import { Name, None, Table, Told, Unpriced } from './parts';
import { increase, useQuery, type Sample } from './prometheus';
import { go, useMinute, withParams, type Place } from './url';

// What cures each, by the first word of its reason; the words of docs/prices.md.
const PRICE = 'add a price of your own, then reprice';
const CURES: Record<string, string> = {
  not_a_call: 'nothing: the calls below it are billed',
  unread: 'name the dialect of the upstream, if there is one',
  usage_missing: 'ask the provider for usage in streams; what passed cannot be counted any more',
  unknown_provider: PRICE,
  unknown_model: PRICE,
  model_missing: 'nobody named the model: look at the sender',
  no_price_at_that_time: 'give the price the date from which it holds, then reprice',
  no_price_for_class: PRICE,
  no_price_for_web_search: PRICE,
  no_price_for_tool: 'the provider bills a tool that it does not count',
  other_model: 'the provider ran a model that it does not name',
  failed_without_usage: 'if the provider bills no failed requests: say failed_requests: free in its price file, then reprice',
  overflow: 'the counts are broken: look at the sender',
};
const CONDITION = 'add a clause for it to the price, then reprice';

const cure = (reason: string): string => CURES[reason.split('(')[0] ?? ''] ?? CONDITION;

export function GapsView(props: { place: Place }) {
  const { place } = props;
  const named = place.params.get('zone') ?? '';
  const zone = isZone(named) && named ? named : ownZone();
  const chosen = place.params.get('range') || thisMonth(zone);
  const minute = useMinute();
  const when = useMemo(() => range(chosen, zone), [chosen, zone, minute]);
  useEffect(() => {
    document.title = 'Not in the numbers \u00b7 Ledgerline';
  }, []);
  const set = (changes: Record<string, string>, isInstead = false) => go(withParams(place, changes), isInstead);
  return (
    <>
      <header>
        <div>
          <h1>Not in the numbers</h1>
          <p>
            {when?.label ?? chosen}, {zone}
          </p>
        </div>
        <div class="tools">
          <Ranges zone={zone} chosen={chosen} pick={(to) => set({ range: to })} />
          <Zones zone={zone} pick={(to) => set({ zone: to }, true)} />
        </div>
      </header>
      {when ? (
        <Gaps zone={zone} when={when} />
      ) : (
        <p class="note" role="alert">
          <b>
            There is no such range: <bdi>{chosen}</bdi>.
          </b>{' '}
          <a href="/gaps">This month</a>
        </p>
      )}
    </>
  );
}

function Gaps(props: { zone: string; when: { from: string; to: string } }) {
  const { zone, when } = props;
  const question = new URLSearchParams({ zone, from: when.from, to: when.to, by: 'provider,model' }).toString();
  const subject = `${zone} ${when.from} ${when.to}`;
  const spend = useApi<Spend>('/api/v1/spend', question, subject);
  const status = useApi<Status>('/api/v1/status', '', '');
  const of = spend.data;
  const unpriced = useQuery(of && increase('reason, provider, model, service', 'llm_unpriced_calls_total', '', of.from, of.through));
  const unread = useQuery(of && increase('service, provider, model', 'llm_calls_total', '{operation="unread"}', of.from, of.through));
  const corrections = useQuery(of && increase('reason', 'llm_corrections_total', '', of.from, of.through));
  const corrected = useQuery(of && increase('reason', 'llm_corrected_cost_usd_total', '', of.from, of.through));
  return (
    <>
      <Told answer={spend} what="The spend" since={of ? clock(of.through) : undefined} />
      {of && <Lead spend={of} status={status.data} />}
      <Told answer={status} what="The account" />
      {status.data && <Account status={status.data} />}
      <section>
        <h2>
          Without a price<small>in no sum until priced; never counted as 0</small>
        </h2>
        <Told answer={unpriced} what="What has no price" />
        {unpriced.data && <NoPrice rows={unpriced.data} zone={zone} />}
      </section>
      <div class="cols">
        <section class="c8">
          <h2>
            Estimated<small>in the sums, told apart: nobody stated a count</small>
          </h2>
          {of && <Estimated spend={of} />}
        </section>
        <section class="c4">
          <h2>
            Unread<small>named a model; no dialect reads the path</small>
          </h2>
          <Told answer={unread} what="What is unread" />
          {unread.data && (
            <Table
              label="Unread requests"
              rows={some(unread.data)}
              rowKey={key}
              empty="every request that named a model was read"
              columns={[
                {
                  head: 'service, model',
                  cell: (row) => (
                    <>
                      <Name of={row.labels.service} none="(no service)" />
                      <small>
                        <bdi>{[row.labels.provider, row.labels.model].filter(Boolean).join(', ')}</bdi>
                      </small>
                    </>
                  ),
                  foot: 'All',
                },
                { head: 'requests', is: 'n', cell: (row) => num(row.value), foot: num(total(unread.data ?? [])) },
              ]}
            />
          )}
        </section>
        <section class="c8">
          <h2>
            Corrections<small>already in the sums; a call is taken back (-1) and booked anew (1)</small>
          </h2>
          <Told answer={corrections} what="What was corrected" />
          {corrections.data && corrected.data && <Corrections calls={corrections.data} usd={corrected.data} />}
        </section>
        <section class="c4">
          <h2>
            Refused<small>of the last seven days; the table quarantine keeps 90</small>
          </h2>
          {status.data && <Quarantined status={status.data} />}
        </section>
      </div>
    </>
  );
}

// Series come to nothing where all of theirs was taken back.
const some = (rows: Sample[]): Sample[] => rows.filter((row) => Number(row.value) !== 0);

const key = (row: Sample): string => Object.values(row.labels).join('\n');

const total = (rows: Sample[]): number => rows.reduce((sum, row) => sum + Number(row.value), 0);

function Lead(props: { spend: Spend; status: Status | null }) {
  const { total: sums } = props.spend;
  const estimated = picos(sums.estimated_usd);
  const unpriced = sums.unpriced_calls;
  const account = props.status?.account;
  const waiting = account?.waiting ?? 0;
  // Read one after the other: a span may be between two of them.
  const between = account ? account.received - account.stored - waiting - account.quarantined - account.unacknowledged : 0;
  return (
    <p class="lead">
      {unpriced === 0 ? 'Every call has a price. ' : `${num(unpriced)} calls of ${num(sums.calls)} have no price yet and are in no sum. `}
      {estimated === 0n ? 'Nothing of the spend is estimated. ' : `${share(estimated, picos(sums.cost_usd))} of the spend is estimated. `}
      {account
        ? `Of what reached this collector since it started ${between > 0 ? `${num(between)} spans are on their way` : 'nothing was lost'}${waiting > 0 ? `, ${num(waiting)} spans wait` : ''}${account.unacknowledged > 0 ? `, and ${num(account.unacknowledged)} were refused for their senders to repeat` : ''}.`
        : ''}
    </p>
  );
}

function Account(props: { status: Status }) {
  const { account, started, now } = props.status;
  const parts: [string, string, number, string][] = [
    ['', 'received', account.received, `since the start, ${ago(started, now)}`],
    ['=', 'stored', account.stored, 'acknowledged and in the table'],
    ['+', 'waiting', account.waiting, 'between decoding and the answer'],
    ['+', 'quarantined', account.quarantined, 'kept, see below'],
    ['+', 'to be repeated', account.unacknowledged, 'not acknowledged; received again'],
  ];
  return (
    <dl class="eq">
      {parts.map(([operator, name, count, what]) => (
        <div key={name}>
          <dt>
            <i aria-hidden="true">{operator}</i>
            {name}
          </dt>
          <dd>
            <b>{num(count)}</b>
            <small>{what}</small>
          </dd>
        </div>
      ))}
    </dl>
  );
}

function NoPrice(props: { rows: Sample[]; zone: string }) {
  const { zone } = props;
  const rows = some(props.rows).sort((a, b) => Number(b.value) - Number(a.value));
  const link = (row: Sample): string => {
    const matchers = ['provider', 'model', 'service'].filter((name) => row.labels[name]).map((name) => `${name}=${JSON.stringify(row.labels[name])}`);
    return `/calls?${new URLSearchParams({ only: 'unpriced', zone, match: `{${matchers.join(',')}}` })}`;
  };
  return (
    <Table
      label="Without a price"
      rows={rows}
      rowKey={key}
      empty="every call has a price"
      columns={[
        { head: 'reason', cell: (row) => <code>{row.labels.reason}</code>, foot: 'All' },
        {
          head: 'model',
          cell: (row) => (
            <>
              <Name of={row.labels.model} none="(no model)" />
              <small>
                <bdi>{row.labels.provider ?? ''}</bdi>
              </small>
            </>
          ),
        },
        { head: 'service', is: 'p2', cell: (row) => <Name of={row.labels.service} none="(no service)" /> },
        { head: 'calls', is: 'n', cell: (row) => <a href={link(row)}>{num(row.value)}</a>, foot: num(total(rows)) },
        { head: 'what to do', is: 'p2', cell: (row) => cure(row.labels.reason ?? '') },
      ]}
    />
  );
}

function Estimated(props: { spend: Spend }) {
  const { spend } = props;
  const rows = (spend.tables[0]?.rows ?? []).filter((row) => picos(row.estimated_usd) !== 0n);
  rows.sort((a, b) => (picos(a.estimated_usd) < picos(b.estimated_usd) ? 1 : -1));
  const all = picos(spend.total.estimated_usd);
  return (
    <Table
      label="Estimated"
      rows={rows}
      rowKey={(row) => Object.values(row.labels).join('\n')}
      empty="nothing is estimated"
      columns={[
        {
          head: 'model',
          cell: (row) => (
            <>
              <Name of={row.labels.model} none="(no model)" />
              <small>
                <bdi>{row.labels.provider ?? ''}</bdi>
              </small>
            </>
          ),
          foot: 'All',
        },
        {
          head: 'USD estimated',
          is: 'n',
          cell: (row) => <Money of={picos(row.estimated_usd)} estimated />,
          foot: all === 0n ? <None /> : <Money of={all} estimated />,
        },
        { head: 'of its spend', is: 'n p2', cell: (row) => share(picos(row.estimated_usd), picos(row.cost_usd)), foot: share(all, picos(spend.total.cost_usd)) },
      ]}
    />
  );
}

function Corrections(props: { calls: Sample[]; usd: Sample[] }) {
  const usd = (reason: string | undefined): bigint => picos(props.usd.find((row) => row.labels.reason === reason)?.value ?? '0');
  const all = props.usd.reduce((sum, row) => sum + picos(row.value), 0n);
  const isPriced = (reason: string | undefined): boolean => props.usd.some((row) => row.labels.reason === reason);
  // A call that is taken back and booked anew comes to 0 calls.
  const rows = props.calls.filter((row) => Number(row.value) !== 0 || usd(row.labels.reason) !== 0n);
  return (
    <Table
      label="Corrections"
      rows={rows}
      rowKey={key}
      empty="nothing was corrected"
      columns={[
        { head: 'why', cell: (row) => row.labels.reason, foot: 'All' },
        { head: 'calls, signed', is: 'n', cell: (row) => num(row.value), foot: num(total(props.calls)) },
        { head: 'USD', is: 'n', cell: (row) => (isPriced(row.labels.reason) ? <Money of={usd(row.labels.reason)} signed /> : <Unpriced />), foot: <Money of={all} signed /> },
      ]}
    />
  );
}

function Quarantined(props: { status: Status }) {
  const { quarantined, now } = props.status;
  return (
    <Table
      label="Refused"
      rows={quarantined}
      rowKey={(row) => row.reason}
      empty="nothing was refused"
      columns={[
        {
          head: 'why',
          cell: (row) => (
            <>
              {row.reason.replaceAll('_', ' ')}
              <small>
                <bdi>{row.detail}</bdi>
              </small>
            </>
          ),
          foot: 'All',
        },
        { head: 'last', is: 'n p2', cell: (row) => ago(row.last, now) },
        { head: 'spans', is: 'n', cell: (row) => num(row.spans), foot: num(quarantined.reduce((sum, row) => sum + row.spans, 0)) },
      ]}
    />
  );
}
