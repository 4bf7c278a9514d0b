// The frame around every page: where to go, who I am, whether the connection holds.
import { useEffect, useRef } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import type { Presence } from '../api/types';
import { showInTitle } from '../state/alerts';
import { dialog, theDesk } from '../state/face';
import { hrefFor, route } from '../state/router';
import { signOut } from '../state/session';
import { choose, settings } from '../state/settings';
import { t, word, type Key } from '../strings';
import { Avatar, Toast } from './common';
import { Icon, type IconName } from './icon';

function Place({ to, icon, label, count, loud }: { to: Parameters<typeof hrefFor>[0]; icon: IconName; label: Key; count?: number; loud?: boolean }) {
  const here = to.page ? route.value.page === to.page : route.value.page === 'inbox' && route.value.view === to.view;
  return (
    <li>
      <a class="place" href={hrefFor(to)} aria-current={here ? 'page' : undefined} title={t(label)}>
        <Icon name={icon} size={20} />
        <span class="label">{t(label)}</span>
        {count ? <span class={loud ? 'count loud' : 'count'}>{count > 199 ? '199+' : count}</span> : null}
      </a>
    </li>
  );
}

export function Shell({ children }: { children: ComponentChildren }) {
  const desk = theDesk();
  useEffect(() => showInTitle(desk.unread), [desk]);
  const { unread, waiting } = desk.counts.value;
  return (
    <div class="shell">
      <nav class="rail" aria-label={t('main')}>
        <div class="brand"><Logo /><span class="label">{t('appName')}</span></div>
        <ul>
          {desk.me.value.id && <Place to={{ view: 'mine' }} icon="inbox" label="mine" count={unread} loud />}
          <Place to={{ view: 'waiting' }} icon="clock" label="waiting" count={waiting} />
          <Place to={{ view: 'all' }} icon="list" label="all" />
        </ul>
        <ul>
          <Place to={{ page: 'tickets', work: desk.me.value.id ? 'mine' : 'open' }} icon="wrench" label="tickets" count={desk.tickets.waiting.value} />
        </ul>
        <ul>
          {desk.may('supervisor') && <Place to={{ page: 'dead' }} icon="undelivered" label="dead" />}
          <Place to={{ page: 'channels' }} icon="channels" label="channels" />
          <Place to={{ page: 'team' }} icon="team" label="team" />
        </ul>
        <Myself />
      </nav>
      <div class="page">
        {!desk.online.value && <div class="connection" role="status">{t('reconnecting')}</div>}
        {children}
      </div>
      <Toast notice={desk.notice.value} done={() => (desk.notice.value = undefined)} />
    </div>
  );
}

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
      <rect x="1" y="1" width="30" height="30" rx="8" />
      <path d="M9 11h.01M16 11h.01M23 11h.01M9 21h.01M16 21h.01M23 21h.01" />
      <path class="cord" d="M9 11c0 6 7 4 7 10M23 11c0 5-3 6-3 10" />
    </svg>
  );
}

const PRESENCES: Presence[] = ['online', 'away', 'offline'];

function Myself() {
  const desk = theDesk();
  const me = desk.me.value;
  const menu = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const outside = (event: Event): void => {
      if (menu.current?.open && !menu.current.contains(event.target as Node)) menu.current.open = false;
    };
    document.addEventListener('pointerdown', outside);
    return () => document.removeEventListener('pointerdown', outside);
  }, []);
  const escape = (event: KeyboardEvent): void => {
    if (event.key !== 'Escape' || !menu.current?.open) return;
    menu.current.open = false;
    menu.current.querySelector('summary')?.focus();
  };
  return (
    <div class="myself">
      {desk.may('agent') && me.id && (
        <label class={`presence dot ${me.presence}`}><select aria-label={t('presence')} value={me.presence} onChange={(event) => void desk.setPresence(event.currentTarget.value as Presence)}>
          {PRESENCES.map((presence) => <option value={presence}>{word('', presence)}</option>)}
        </select></label>
      )}
      <details ref={menu} onKeyDown={escape}>
        <summary>
          <Avatar name={me.name} size={32} />
          <span class="label who"><b>{me.name}</b><small>{me.id ? t('load', { n: me.load, max: me.capacity }) : ''}</small></span>
          <span class="sr">{t('settings')}</span>
        </summary>
        <div class="menu">
          <label>{t('language')}
            <select value={settings.value.lang} onChange={(event) => choose({ lang: event.currentTarget.value === 'zh' ? 'zh' : 'en' })}>
              <option value="en" lang="en">English</option>
              <option value="zh" lang="zh">中文</option>
            </select>
          </label>
          <label class="check"><input type="checkbox" checked={settings.value.sound} onChange={(event) => choose({ sound: event.currentTarget.checked })} />{t('sound')}</label>
          <label class="check"><input type="checkbox" checked={settings.value.titleBadge} onChange={(event) => choose({ titleBadge: event.currentTarget.checked })} />{t('titleBadge')}</label>
          <button type="button" class="button plain" onClick={() => (dialog.value = 'help')}>{t('shortcuts')} <kbd>?</kbd></button>
          <button type="button" class="button plain" onClick={signOut}>{t('signOut')}</button>
        </div>
      </details>
    </div>
  );
}
