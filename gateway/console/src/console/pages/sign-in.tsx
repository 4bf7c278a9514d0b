// Signing in by token.
import { useState } from 'preact/hooks';
import { ApiError } from '../api/http';
import { keptToken, signIn } from '../state/session';
import { choose, settings } from '../state/settings';
import { t } from '../strings';
import { Logo } from '../ui/shell';

export function SignIn() {
  const [token, setToken] = useState(keptToken());
  const [remember, setRemember] = useState(false);
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = async (): Promise<void> => {
    if (busy || !token.trim()) return;
    setBusy(true);
    setProblem('');
    try {
      await signIn(token.trim(), remember);
    } catch (error) {
      setProblem(error instanceof ApiError && error.status === 401 ? t('badToken') : t('noServer'));
    }
    setBusy(false);
  };
  return (
    <main class="sign-in">
      <form onSubmit={(event) => (event.preventDefault(), void submit())}>
        <Logo />
        <h1>{t('appName')}</h1>
        <p>{t('signInLead')}</p>
        <label for="token">{t('token')}</label>
        <input id="token" type="password" autocomplete="current-password" autofocus required spellcheck={false} value={token} aria-describedby="token-hint" aria-invalid={problem !== ''} onInput={(event) => setToken(event.currentTarget.value)} />
        <small id="token-hint">{t('tokenHint')}</small>
        <label class="check"><input type="checkbox" checked={remember} onChange={(event) => setRemember(event.currentTarget.checked)} />{t('remember')}</label>
        <div role="alert">{problem && <p class="problem">{problem}</p>}</div>
        <button class="button primary" aria-disabled={busy}>{t('signIn')}</button>
        <button type="button" class="link" lang={settings.value.lang === 'zh' ? 'en' : 'zh'} onClick={() => choose({ lang: settings.value.lang === 'zh' ? 'en' : 'zh' })}>{settings.value.lang === 'zh' ? 'English' : '中文'}</button>
      </form>
    </main>
  );
}
