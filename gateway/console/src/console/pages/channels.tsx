// Every connected account: does it run, what waits in it, what went wrong last.
import { useEffect, useState } from 'preact/hooks';
import type { Channel } from '../api/types';
import { explain } from '../state/paged';
import { clock, theDesk } from '../state/face';
import { ago, t, word } from '../strings';
import { Action, Chip, Modal } from '../ui/common';
import { KindIcon } from '../ui/icon';

export function Channels() {
  const desk = theDesk();
  const [pausing, setPausing] = useState<Channel>();
  useEffect(() => void desk.refresh(desk.channels, desk.calls.channels), []);
  const change = async (run: () => Promise<void>): Promise<void> => {
    try {
      await run();
      setPausing(undefined);
      await desk.refresh(desk.channels, desk.calls.channels);
    } catch (error) {
      desk.say(explain(error), true);
    }
  };
  return (
    <main class="plain-page">
      <h1>{t('channels')}</h1>
      <p class="lead">{t('channelsLead')}</p>
      <table>
        <thead><tr><th scope="col">{t('channel')}</th><th scope="col">{t('state')}</th><th scope="col">{t('backlog')}</th><th scope="col">{t('lastError')}</th>{desk.may('supervisor') && <th scope="col">{t('actions')}</th>}</tr></thead>
        <tbody>
          {desk.channels.value.map((channel) => (
            <tr key={channel.id}>
              <td><span class="named"><KindIcon kind={channel.kind} /> <b>{channel.id}</b> <small>{channel.kind}</small></span></td>
              <td><Chip tone={channel.state}>{word('c_', channel.state)}</Chip>{channel.reason && <small class="below">{channel.reason}</small>}</td>
              <td class="number">{channel.backlog}</td>
              <td>{channel.last_error && <>{channel.last_error.detail} <small>{channel.last_error.at && ago(channel.last_error.at, clock.value)}</small></>}</td>
              {desk.may('supervisor') && (
                <td>
                  {channel.state === 'paused'
                    ? <Action run={() => change(() => desk.calls.resume(channel.id))}>{t('resume')}<span class="sr"> {channel.id}</span></Action>
                    : <Action run={() => setPausing(channel)}>{t('pause')}<span class="sr"> {channel.id}</span></Action>}
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
      {pausing && <Pause channel={pausing} close={() => setPausing(undefined)} pause={(reason) => change(() => desk.calls.pause(pausing.id, reason))} />}
    </main>
  );
}

function Pause({ channel, close, pause }: { channel: Channel; close: () => void; pause: (reason: string) => Promise<void> }) {
  const [reason, setReason] = useState('');
  return (
    <Modal title={t('pauseWhy', { name: channel.id })} close={close}>
      <form class="form" onSubmit={(event) => (event.preventDefault(), void pause(reason.trim()))}>
        <label>{t('reason')}<input required maxLength={200} value={reason} autofocus onInput={(event) => setReason(event.currentTarget.value)} /></label>
        <div class="buttons"><button class="button primary">{t('pause')}</button><Action run={close}>{t('cancel')}</Action></div>
      </form>
    </Modal>
  );
}
