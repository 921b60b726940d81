import { render } from 'preact';
import { restoreTheme, Shell } from './shell';
import { SpendView } from './spend';
import './style.css';
import { usePlace } from './url';

function Console() {
  const place = usePlace();
  return (
    <Shell path={place.path}>
      {place.path === '/' ? (
        <SpendView place={place} />
      ) : (
        <>
          <h1>There is no such page</h1>
          <p>
            <a href="/">Spend</a>
          </p>
        </>
      )}
    </Shell>
  );
}

restoreTheme();
render(<Console />, document.body);
