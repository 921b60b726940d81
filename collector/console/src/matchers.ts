// Pure: which calls, as a person writes it and as PromQL selects series.

const MATCHER = /^[\s,]*(\w+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|[^\s,"'`{}]+)/;

export interface Matcher {
  name: string;
  operator: string;
  value: string;
}

// Of `team=search environment!=dev`, or of a selector in braces; null if some of it cannot be read.
export function matchers(text: string): Matcher[] | null {
  let rest = text.trim().replace(/^\{(.*)\}$/s, '$1').trim();
  const found: Matcher[] = [];
  while (rest) {
    const [all, name = '', operator = '', value = ''] = MATCHER.exec(rest) ?? [];
    if (!all) return null;
    found.push({ name, operator, value: unquoted(value) });
    rest = rest.slice(all.length).replace(/^[\s,]+/, '');
  }
  return found;
}

function unquoted(text: string): string {
  if (!/^["'`]/.test(text)) return text;
  const inner = text.slice(1, -1);
  if (text.startsWith('`')) return inner;
  try {
    return String(JSON.parse(text.startsWith('"') ? text : `"${inner.replaceAll("\\'", "'").replaceAll('"', '\\"')}"`));
  } catch {
    return inner;
  }
}

// What a person has written as PromQL selects, or a selector as it is, without the names of `apart`, which are put there; null if some of it
// cannot be read.
export function selector(text: string, apart: Record<string, string> = {}): string | null {
  if (text.trim().startsWith('{')) return text.trim();
  const left = [];
  const found = matchers(text);
  for (const { name, operator, value } of found ?? []) {
    if (!(name in apart)) left.push(`${name}${operator}${JSON.stringify(value)}`);
    else if (operator !== '=') return null;
    else apart[name] = value;
  }
  return found && (left.length > 0 ? `{${left.join(',')}}` : '');
}

function contradict(a: Matcher, b: Matcher): boolean {
  if (a.name !== b.name) return false;
  const operators = [a.operator, b.operator].sort().join(' ');
  return operators === '= =' ? a.value !== b.value : operators === '!= =' && a.value === b.value;
}

// How many matchers two selectors do not share; null where no call can be of both. What cannot be read contradicts nothing.
export function distance(one: string, other: string): number | null {
  const [a, b] = [matchers(one) ?? [], matchers(other) ?? []];
  if (a.some((left) => b.some((right) => contradict(left, right)))) return null;
  const isSame = (left: Matcher) => (right: Matcher) => left.name === right.name && left.operator === right.operator && left.value === right.value;
  const shared = a.filter((left) => b.some(isSame(left))).length;
  return a.length + b.length - 2 * shared;
}
