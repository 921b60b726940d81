// What fires and what is about to, what each sees, and the rules that are quiet.

import { useEffect } from 'preact/hooks';
import { useApi, type Answer, type Budget, type Budgets, type Status } from './api';
import { ownZone } from './calendar';
import { ago, day, local, num, short } from './format';
import { Name, State, Table, Told } from './parts';
import type { Alert, Rule, Rules } from './prometheus';
import { LIVE_MS } from './rhythm';
import { Seen } from './seen';
import { withParams, type Place } from './url';

const DIMENSIONS = ['team', 'service', 'environment', 'feature', 'provider', 'model'];

interface Raised {
  alert: Alert;
  rule: Rule;
}

export function AlertsView(props: { place: Place }) {
  const { place } = props;
  const rules = useApi<Rules>('/prometheus/api/v1/rules', '', '');
  const status = useApi<Status>('/api/v1/status', '', '');
  const zone = ownZone();
  const wanted = place.params.get('alert');
  useEffect(() => {
    document.title = 'Alerts \u00b7 Ledgerline';
  }, []);
  const all = rules.data?.data.groups.flatMap((group) => group.rules) ?? [];
  const raised: Raised[] = all.flatMap((rule) => rule.alerts.map((alert) => ({ alert, rule })));
  raised.sort((a, b) => rank(a.alert) - rank(b.alert) || (a.alert.activeAt < b.alert.activeAt ? 1 : -1));
  const shown = wanted ? raised.filter(({ rule }) => rule.name === wanted) : raised;
  const budgets = useApi<Budgets>('/api/v1/budgets', '', '', LIVE_MS, shown.some(({ alert }) => alert.labels.budget));
  const quiet = all.filter((rule) => rule.state === 'inactive' && (!wanted || rule.name === wanted));
  const last = all.map((rule) => rule.lastEvaluation).sort().at(-1) ?? '';
  return (
    <>
      <header>
        <div>
          <h1>Alerts</h1>
          <p>{rules.data ? summary(all, last, zone) : ''}</p>
        </div>
        {wanted && (
          <div class="tools">
            <a href="/alerts">All alerts</a>
          </div>
        )}
      </header>
      <Told answer={rules} what="The rules" />
      {rules.data && wanted && !all.some((rule) => rule.name === wanted) && (
        <p class="note">
          There is no rule <bdi>{wanted}</bdi> any more.
        </p>
      )}
      {rules.data && shown.length === 0 && <Quietness rules={all} wanted={wanted} />}
      {shown.length > 0 && <Active raised={shown} status={status} budgets={budgets.data?.budgets ?? []} zone={zone} isAlone={!!wanted} />}
      {rules.data && wanted && all.some((rule) => rule.name === wanted) && <Seen alert={wanted} zone={zone} />}
      {rules.data && (!wanted || quiet.length > 0) && <Quiet rules={quiet} now={new Date().toISOString()} isAlone={!!wanted} />}
    </>
  );
}

const many = (count: number, what: string): string => `${num(count)} ${what}${count === 1 ? '' : 's'}`;

const rank = (alert: Alert): number => (alert.state === 'firing' ? 0 : 1);

function summary(rules: Rule[], last: string, zone: string): string {
  if (rules.length === 0) return 'No rules are loaded: alerting.rule_files of the configuration names them.';
  const failed = rules.filter((rule) => rule.health === 'err').length;
  const at = last && last > '1971' ? `, last checked ${local(last, zone).clock}, ${zone}` : '';
  return `${many(rules.length, 'rule')}${failed > 0 ? `, ${num(failed)} of them cannot be evaluated` : ''}${at}`;
}

// Of one rule, if one is looked at, and what all others do.
function Quietness(props: { rules: Rule[]; wanted: string | null }) {
  const { rules, wanted } = props;
  const own = rules.filter((rule) => rule.name === wanted);
  const others = rules.flatMap((rule) => rule.alerts).filter((alert) => alert.state === 'firing').length;
  const isBroken = own.some((rule) => rule.health === 'err');
  return (
    <p class="lead">
      {(!wanted || own.length > 0) && (
        <State icon={isBroken ? 'firing' : 'done'} is={isBroken ? 'bad' : 'ok'}>
          {isBroken ? 'This rule cannot be evaluated.' : wanted ? 'This rule does not fire.' : 'Nothing fires.'}
        </State>
      )}{' '}
      {wanted && (others > 0 ? <a href="/alerts">{`${many(others, 'alert')} of other rules ${others === 1 ? 'fires' : 'fire'}.`}</a> : 'No other fires.')}
    </p>
  );
}

function Active(props: { raised: Raised[]; status: Answer<Status>; budgets: Budget[]; zone: string; isAlone: boolean }) {
  const { raised, status, budgets, zone, isAlone } = props;
  const receivers = status.data?.receivers ?? [];
  return (
    <section aria-label="Active alerts">
      {raised.map(({ alert, rule }) => (
        <One key={JSON.stringify(alert.labels)} alert={alert} rule={rule} receivers={receivers} behind={behind(alert, budgets, zone)} zone={zone} isAlone={isAlone} />
      ))}
    </section>
  );
}

// The calls that an alert is about: those of its labels, or of the period of its budget. Empty where they are not known.
function behind({ labels }: Alert, budgets: Budget[], zone: string): string {
  if (!labels.budget) {
    const matchers = DIMENSIONS.filter((name) => labels[name]).map((name) => `${name}=${JSON.stringify(labels[name])}`);
    return address({ zone, match: matchers.length > 0 ? `{${matchers.join(',')}}` : '' });
  }
  const budget = budgets.find((one) => one.name === labels.budget && one.period.key === labels.period);
  return budget ? address({ zone: budget.zone || zone, match: budget.match, from: budget.period.from }) : '';
}

const address = (params: Record<string, string>): string => withParams({ path: '/calls', params: new URLSearchParams() }, params);

function One(props: { alert: Alert; rule: Rule; receivers: Status['receivers']; behind: string; zone: string; isAlone: boolean }) {
  const { alert, rule, receivers, behind, zone } = props;
  const isFiring = alert.state === 'firing';
  const { summary, description, runbook_url: runbook } = alert.annotations;
  const since = local(alert.activeAt, zone);
  const others = Object.entries(alert.labels).filter(([name]) => name !== 'alertname' && name !== 'severity');
  return (
    <article class={isFiring ? 'alert' : 'alert pend'}>
      <div>
        <p>
          <State icon={isFiring ? 'firing' : 'pending'} is={isFiring ? 'bad' : 'warn'}>
            <b>{alert.state}</b>
          </State>
          , {alert.labels.severity ?? 'no severity'}{' '}
          <span class="dim">
            since {day(since.date)}, {since.clock}, {ago(alert.activeAt, new Date().toISOString())}
          </span>
        </p>
        <h2>
          <bdi>{summary || rule.name}</bdi>
        </h2>
        <p class="dim">
          <bdi>{description ?? ''}</bdi>
        </p>
        <p class="tools">
          {behind && <a href={behind}>Calls behind it</a>}
          {!props.isAlone && <a href={`/alerts?alert=${encodeURIComponent(rule.name)}`}>Its last 24 hours</a>}
          {isLink(runbook) && <a href={runbook}>Runbook</a>}
          {receivers
            .filter((receiver) => isLink(receiver.alertmanager))
            .map((receiver) => (
              <a key={receiver.name} href={silence(receiver.alertmanager ?? '', alert)}>
                Silence in <bdi>{receiver.name}</bdi>
              </a>
            ))}
        </p>
      </div>
      <div>
        <p>
          It sees <b>{short(Number(alert.value))}</b>
          {rule.duration > 0 ? `, and fires after ${num(rule.duration)} s` : ''}
        </p>
        <p class="s dim">
          <bdi>{others.map(([name, value]) => `${name}: ${value}`).join(', ')}</bdi>
        </p>
        <p class="s dim">
          <code>{rule.name}</code>: <code>{rule.query}</code>
        </p>
      </div>
    </article>
  );
}

// A rule file is written by whoever may, and a link of it leads where it says.
const isLink = (text: string | null | undefined): text is string => /^(https?:\/\/|\/(?!\/))/.test(text ?? '');

const silence = (alertmanager: string, alert: Alert): string => {
  const filter = Object.entries(alert.labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return `${alertmanager}/#/silences/new?filter=${encodeURIComponent(`{${filter.join(',')}}`)}`;
};

function Quiet(props: { rules: Rule[]; now: string; isAlone: boolean }) {
  return (
    <section>
      <h2>
        Quiet<small>{many(props.rules.length, 'rule')}, and whether each could be evaluated</small>
      </h2>
      <Table
        label="Quiet rules"
        rows={props.rules}
        rowKey={(rule) => `${rule.name}\n${rule.query}`}
        empty="none"
        columns={[
          {
            head: 'rule',
            cell: (rule) => (
              <a href={`/alerts?alert=${encodeURIComponent(rule.name)}`}>
                <Name of={rule.name} none="" />
              </a>
            ),
          },
          { head: 'severity', is: 'p2', cell: (rule) => rule.labels.severity ?? '' },
          {
            head: 'state',
            cell: (rule) =>
              rule.health === 'err' ? (
                <>
                  <State icon="firing" is="bad">
                    cannot be evaluated
                  </State>
                  <small>
                    <bdi>{rule.lastError ?? ''}</bdi>
                  </small>
                </>
              ) : (
                <span class="dim">{rule.health === 'unknown' ? 'not checked yet' : 'quiet'}</span>
              ),
          },
          { head: 'asks', is: 'wide p3', cell: (rule) => <code class={props.isAlone ? 'query' : 'query some'}>{rule.query}</code> },
          { head: 'checked', is: 'n p2', cell: (rule) => (rule.health === 'unknown' ? '' : ago(rule.lastEvaluation, props.now)) },
        ]}
      />
    </section>
  );
}
