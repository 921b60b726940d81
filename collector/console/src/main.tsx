import { render } from 'preact';
import { AlertsView } from './alerts';
import { CallView } from './call';
import { CallsView } from './calls';
import { GapsView } from './gaps';
import { HealthView } from './health';
import { restoreTheme, Shell } from './shell';
import { SpendView } from './spend';
import './style.css';
import { usePlace, type Place } from './url';

function View(props: { place: Place }) {
  const { place } = props;
  const [, first, trace, span] = place.path.split('/');
  if (first === 'calls' && trace && span) return <CallView key={place.path} place={place} trace={trace} span={span} />;
  switch (place.path) {
    case '/calls':
      return <CallsView place={place} />;
    case '/gaps':
      return <GapsView place={place} />;
    case '/alerts':
      return <AlertsView place={place} />;
    case '/status':
      return <HealthView />;
    default:
      return <SpendView place={place} />;
  }
}

function Console() {
  const place = usePlace();
  return (
    <Shell path={place.path}>
      <View place={place} />
    </Shell>
  );
}

restoreTheme();
render(<Console />, document.body);
