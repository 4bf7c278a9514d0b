// The console's start.
import { effect } from '@preact/signals';
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import { Channels } from './pages/channels';
import { Dead } from './pages/dead';
import { SignIn } from './pages/sign-in';
import { Team } from './pages/team';
import { dialog } from './state/face';
import { useKeys } from './state/keys';
import { route } from './state/router';
import { desk, phase, resume } from './state/session';
import { lang, t } from './strings';
import { Help } from './ui/help';
import { Inbox } from './ui/inbox';
import { Shell } from './ui/shell';
import { Tickets } from './ui/tickets';
import './css/base.css';
import './css/shell.css';
import './css/inbox.css';
import './css/thread.css';
import './css/tickets.css';
import './css/pages.css';

const PAGES = { inbox: Inbox, tickets: Tickets, dead: Dead, channels: Channels, team: Team };

function App() {
  useEffect(useKeys, []);
  if (phase.value === 'starting') return <main class="starting" aria-busy="true"><p>{t('loading')}</p></main>;
  if (phase.value === 'out' || !desk.value) return <SignIn />;
  const Page = PAGES[route.value.page];
  return (
    <Shell>
      <Page />
      {dialog.value === 'help' && <Help />}
    </Shell>
  );
}

effect(() => {
  document.documentElement.lang = lang();
});
addEventListener('online', () => desk.value?.live.wake());
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && desk.value?.live.wake());

const root = document.getElementById('app');
if (root) render(<App />, root);
void resume();
