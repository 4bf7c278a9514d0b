// The device of the open ticket as it stands now, and how the ticket stands.
import { useEffect } from 'preact/hooks';
import type { DeviceState, FaultNow, Ticket } from '../api/types';
import { clock, theDesk } from '../state/face';
import { hrefFor } from '../state/router';
import { deviceName } from '../state/work';
import { ago, t } from '../strings';
import { Line, Moment, Severity } from './common';
import { Icon } from './icon';
import { string } from './part';

/** Readings come without an event, so they are asked for while somebody looks. */
const LOOK_MS = 10_000;

export function Device({ ticket }: { ticket: Ticket }) {
  const { tickets } = theDesk();
  const opened = tickets.opened.value;
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === 'visible' && void tickets.refresh(), LOOK_MS);
    return () => clearInterval(timer);
  }, [tickets]);
  const device = opened?.id === ticket.id ? opened.device : null;
  return (
    <aside class="details device" aria-label={t('device')}>
      <h2>{deviceName(ticket)}</h2>
      {device ? <p class="unverified">{t('seen', { time: ago(device.seen_at, clock.value) })}</p> : <p class="unverified">{t(opened?.loading === false ? 'deviceUnknown' : 'loading')}</p>}
      {device && <Now device={device} ticket={ticket} />}
      <h3>{t('ticket')}</h3>
      <dl>
        <Line name={t('number')}>{ticket.number}</Line>
        <Line name={t('address')}>{ticket.device}</Line>
        <Line name={t('channel')}>{ticket.channel.id}</Line>
        <Line name={t('category')}>{ticket.category ?? t('none')}</Line>
        <Line name={t('group')}>{ticket.group?.name ?? t('none')}</Line>
        <Line name={t('agent')}>{ticket.agent?.name ?? t('nobody')}</Line>
        <Line name={t('raisedTimes')}>{ticket.n_raised}{ticket.n_flaps > 0 && ` (${t('flaps', { n: ticket.n_flaps })})`}</Line>
        {ticket.settles_at && <Line name={t('settles')}><Moment at={ticket.settles_at} /></Line>}
        <Line name={t('lastRaised')}><Moment at={ticket.raised_at} /></Line>
        {ticket.cleared_at && <Line name={t('lastCleared')}><Moment at={ticket.cleared_at} /></Line>}
        <Line name={t('opened')}><Moment at={ticket.created_at} /></Line>
      </dl>
      <p><a href={hrefFor({ view: 'all', id: ticket.conversation_id })}>{t('openConversation')}</a></p>
    </aside>
  );
}

function Now({ device, ticket }: { device: DeviceState; ticket: Ticket }) {
  const readings = Object.entries(device.readings);
  const { location } = device;
  return (
    <>
      <h3>{t('faultsNow')}</h3>
      {device.faults.length ? <ul class="faults">{device.faults.map((fault) => <Fault key={fault.code} fault={fault} here={ticket.id} />)}</ul> : <p>{t('none')}</p>}
      <h3>{t('p_telemetry')}{device.readings_at && <small> · {ago(device.readings_at, clock.value)}</small>}</h3>
      {readings.length ? (
        <table class="readings">
          <thead class="sr"><tr><th scope="col">{t('name')}</th><th scope="col">{t('value')}</th></tr></thead>
          <tbody>{readings.map(([name, value]) => <tr key={name}><th scope="row">{name}</th><td>{string(value)}</td></tr>)}</tbody>
        </table>
      ) : <p>{t('none')}</p>}
      {location && <><h3>{t('p_location')}</h3><p>{location.label && <>{location.label}<br /></>}{location.lat}, {location.lon}</p></>}
    </>
  );
}

function Fault({ fault, here }: { fault: FaultNow; here: string }) {
  const { code, severity, state, at, ticket_id: ticket } = fault;
  const raised = state === 'raised';
  return (
    <li class={raised ? 'raised' : 'cleared'}>
      <Icon name={raised ? 'alert' : 'check'} size={15} />
      {ticket && ticket !== here ? <a href={hrefFor({ page: 'tickets', work: 'open', id: ticket })}>{code}</a> : <b>{code}</b>}
      {raised ? <Severity severity={severity} /> : <span>{t('cleared')}</span>}
      <small><time dateTime={at}>{ago(at, clock.value)}</time></small>
    </li>
  );
}
