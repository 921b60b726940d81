// How the parts are: collector, engine and its disk, who sends, what is kept and for how long, and what Grafana is told.

import { useEffect } from 'preact/hooks';
import { useApi, type Status } from './api';
import { ago, bytes, day, month, num } from './format';
import { Code, Name, State, Table, Told } from './parts';

// What each table is for, and how long it is kept.
const TABLES: Record<string, [string, string]> = {
  spans: ['calls and other spans', '90 days'],
  calls_minute: ['calls by minute', '35 days'],
  spend_minute: ['spend by minute', '35 days'],
  calls_quarter: ['calls by quarter of an hour', 'for ever'],
  spend_quarter: ['spend by quarter of an hour', 'for ever'],
  calls_day: ['calls by day', 'for ever'],
  spend_day: ['spend by day', 'for ever'],
  corrections: ['what was booked later', 'for ever'],
  quarantine: ['what was refused', '90 days'],
};

export function HealthView() {
  const status = useApi<Status>('/api/v1/status', '', '');
  const { data } = status;
  useEffect(() => {
    document.title = 'Health \u00b7 Ledgerline';
  }, []);
  return (
    <>
      <header>
        <div>
          <h1>Health</h1>
          <p>{data ? `Through ${data.now.slice(0, 19).replace('T', ' ')} UTC` : ''}</p>
        </div>
      </header>
      <Told answer={status} what="The status" since={data?.now.slice(11, 19)} />
      {data && <Parts status={data} />}
    </>
  );
}

function daysLeft(status: Status): number | null {
  const { engine } = status;
  return engine?.bytes_per_day ? Math.floor(engine.free_bytes / engine.bytes_per_day) : null;
}

function room(status: Status): string {
  const days = daysLeft(status);
  if (days === null) return 'How fast the disk fills is known after the first whole day.';
  if (days > 3650) return 'The disk lasts for more than ten years at this pace.';
  return `If nothing were dropped the disk would be full in ${num(days)} days.`;
}

function Parts(props: { status: Status }) {
  const { status } = props;
  const { engine, senders, now } = status;
  const isWell = status.problems.length === 0;
  return (
    <>
      <p class="lead">
        <State icon={isWell ? 'done' : 'firing'} is={isWell ? 'ok' : 'bad'}>
          {isWell ? 'All parts are well.' : 'Not all is well:'}
        </State>{' '}
        {isWell ? room(status) : <bdi>{status.problems.join('; ')}</bdi>}
      </p>
      <dl class="figs">
        <div>
          <dt>Collector</dt>
          <dd>{status.is_ready ? 'ready' : 'not ready'}</dd>
          <dd>
            {status.version}, started {ago(status.started, now)}
          </dd>
        </div>
        <div>
          <dt>Engine</dt>
          <dd>{engine ? 'ready' : <small>does not answer</small>}</dd>
          <dd>{engine ? `ClickHouse ${engine.version}` : ''}</dd>
        </div>
        <div>
          <dt>Senders</dt>
          <dd>{num(senders.length)}</dd>
          <dd>{senders[0] ? `the last call ended ${ago(senders[0].last, now)}` : 'none in the last 24 hours'}</dd>
        </div>
        <div>
          <dt>Waiting</dt>
          <dd>{num(status.account.waiting)}</dd>
          <dd>spans between decoding and the answer</dd>
        </div>
        <div class="all-n">
          <dt>Disk</dt>
          <dd>{engine ? bytes(engine.free_bytes) : <small>not known</small>}</dd>
          <dd>
            {engine ? `of ${bytes(engine.total_bytes)} free` : ''}
            {engine?.bytes_per_day ? `, filling by ${bytes(engine.bytes_per_day)} a day` : ''}
          </dd>
        </div>
      </dl>
      <Senders status={status} />
      <Kept status={status} />
      <section>
        <h2>
          Grafana<small>add a Prometheus data source with this address</small>
        </h2>
        <Code label="Address for Grafana" text={`${location.origin}/prometheus`} />
      </section>
    </>
  );
}

function Senders(props: { status: Status }) {
  const { senders, now } = props.status;
  return (
    <section>
      <h2>
        Senders<small>who has sent calls in the last 24 hours</small>
      </h2>
      <Table
        label="Senders"
        rows={senders}
        rowKey={(one) => [one.observer, one.service, one.environment].join('\n')}
        empty="nobody"
        columns={[
          { head: 'service', cell: (one) => <Name of={one.service} none="(no service)" /> },
          { head: 'seen by', cell: (one) => <Name of={`${one.observer} ${one.version}`.trim()} none="(not said)" /> },
          { head: 'environment', is: 'p2', cell: (one) => <Name of={one.environment} none="(none)" /> },
          { head: 'calls', is: 'n', cell: (one) => num(one.calls), foot: undefined },
          { head: 'last', is: 'n', cell: (one) => ago(one.last, now) },
        ]}
      />
    </section>
  );
}

// Each table is cut by the year (`2026`), the month (`202611`) or the day (`2026-11-28`).
function oldest(text: string): string {
  if (/^\d{4}$/.test(text)) return `the year ${text}`;
  if (/^\d{6}$/.test(text)) return `${month(`${text.slice(0, 4)}-${text.slice(4)}`)} ${text.slice(0, 4)}`;
  return /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${day(text)} ${text.slice(0, 4)}` : text;
}

function Kept(props: { status: Status }) {
  const tables = props.status.tables.filter((table) => TABLES[table.name]);
  return (
    <section>
      <h2>
        Kept<small>message content is not stored</small>
      </h2>
      <Table
        label="What is kept"
        rows={tables}
        rowKey={(table) => table.name}
        empty="nothing yet"
        columns={[
          {
            head: 'table',
            cell: (table) => (
              <>
                <code>{table.name}</code>
                <small>{TABLES[table.name]?.[0]}</small>
              </>
            ),
            foot: 'All',
          },
          { head: 'kept', cell: (table) => TABLES[table.name]?.[1] },
          { head: 'oldest', is: 'p2', cell: (table) => oldest(table.oldest) },
          { head: 'rows', is: 'n p2', cell: (table) => num(table.rows) },
          { head: 'size', is: 'n', cell: (table) => bytes(table.bytes), foot: bytes(tables.reduce((sum, table) => sum + table.bytes, 0)) },
        ]}
      />
    </section>
  );
}
