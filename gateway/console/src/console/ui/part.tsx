// One content part of a message. Everything comes from outside: text stays text, links are http(s) only.
import { formatBytes } from '../../shared/format';
import { splitLinks } from '../../shared/links';
import { safeUrl, type Part } from '../../shared/wire';
import { t, word } from '../strings';
import { Icon } from './icon';

export function Linked({ text }: { text: string }) {
  return (
    <>
      {splitLinks(text).map((piece) =>
        piece.href ? <a href={piece.href} target="_blank" rel="noopener noreferrer nofollow">{piece.text}</a> : piece.text,
      )}
    </>
  );
}

/** A value of any kind as text. */
export function string(value: unknown): string {
  return typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value);
}

/** Mail as plain text: parsed in a document that runs no scripts and loads nothing. */
export function htmlToText(html: string): string {
  const page = new DOMParser().parseFromString(html, 'text/html');
  for (const element of page.querySelectorAll('script, style, head')) element.remove();
  for (const element of page.querySelectorAll('br')) element.replaceWith('\n');
  for (const element of page.querySelectorAll('p, div, tr, li, h1, h2, h3, blockquote')) element.append('\n');
  return (page.body.textContent ?? '').replace(/[ \t]+/g, ' ').replace(/\s*\n\s*\n\s*/g, '\n\n').trim();
}

export function PartView({ part }: { part: Part }) {
  const url = safeUrl(part.url, location.origin);
  switch (part.type) {
    case 'text':
      return <div class="bubble"><Linked text={part.text ?? ''} /></div>;
    case 'html':
      return <div class="bubble"><Linked text={htmlToText(string(part['html']))} /></div>;
    case 'image':
      if (url) return <Picture part={part} url={url} />;
      break;
    case 'audio':
      if (url) return <div class="bubble media"><audio controls preload="none" src={url} aria-label={part.name ?? 'audio'} />{part['transcript'] ? <p>{string(part['transcript'])}</p> : null}</div>;
      break;
    case 'video':
      if (url) return <video class="picture" controls preload="metadata" src={url} aria-label={part.name ?? 'video'} />;
      break;
    case 'file':
      if (url) return <FileLink part={part} url={url} />;
      break;
    case 'fault':
      return <Fault part={part} />;
    case 'telemetry':
      return <div class="bubble facts"><b>{t('p_telemetry')}</b><Readings values={part['readings']} /></div>;
    case 'location':
      return <Fact title={t('p_location')} text={[string(part['label']), `${string(part['lat'])}, ${string(part['lon'])}`]} />;
    case 'contact':
      return <Fact title={t('p_contact')} text={[part.name ?? '', ...((part['addresses'] as string[] | undefined) ?? [])]} />;
    case 'card':
      return <Fact title={string(part['title']) || t('p_card')} text={[part.text ?? '']} url={url} />;
    case 'choice':
      return <Fact title={part.text || t('p_choice')} text={((part['options'] as { id: string; label?: string; text?: string }[] | undefined) ?? []).map((each) => `${each.id === part['chosen'] ? '✓ ' : ''}${each.label ?? each.text ?? each.id}`)} />;
    case 'template':
      return <Fact title={t('p_template', { name: string(part['template']) })} text={[string(part['values'])]} />;
    case 'event':
      return <Fact title={t('p_event', { name: part.name ?? '' })} text={[string(part['value'])]} />;
    case 'command':
      return <Fact title={t('p_command', { name: part.name ?? '' })} text={[string(part['arguments'])]} />;
    case 'reaction':
      return <Fact title={t('p_reaction', { name: string(part['emoji']) })} text={[]} />;
    case 'edit':
      return <Fact title={t('p_edit')} text={[part.text ?? '']} />;
    case 'recall':
      return <Fact title={t('p_recall')} text={[]} />;
  }
  return <Fact title={t('p_unknown', { name: string(part['what']) || part.type })} text={[]} />;
}

function Picture({ part, url }: { part: Part; url: string }) {
  return (
    <a class="picture" href={url} target="_blank" rel="noopener noreferrer">
      <img src={url} alt={part.name ?? ''} width={part.width} height={part.height} loading="lazy" />
    </a>
  );
}

function FileLink({ part, url }: { part: Part; url: string }) {
  const name = part.name || part.mime || 'file';
  return (
    <a class="bubble file" href={url} target="_blank" rel="noopener noreferrer" download={name} aria-label={t('download', { name })}>
      <Icon name="file" size={22} />
      <span><b>{name}</b><small>{part.size === undefined ? '' : formatBytes(part.size)}</small></span>
    </a>
  );
}

function Fact({ title, text, url }: { title: string; text: string[]; url?: string | undefined }) {
  return (
    <div class="bubble facts">
      <b>{url ? <a href={url} target="_blank" rel="noopener noreferrer">{title}</a> : title}</b>
      {text.filter(Boolean).map((line) => <p><Linked text={line} /></p>)}
    </div>
  );
}

function Fault({ part }: { part: Part }) {
  const severity = string(part['severity']);
  const raised = part['state'] !== 'cleared';
  return (
    <div class={`bubble facts fault ${raised ? severity : 'cleared'}`}>
      <b><Icon name={raised ? 'alert' : 'check'} size={16} /> {t(raised ? 'faultRaised' : 'faultCleared', { name: string(part['code']) })}</b>
      {raised && <span class="severity">{word('s_', severity)}</span>}
      {part.text && <p>{part.text}</p>}
      <Readings values={part['readings']} />
    </div>
  );
}

function Readings({ values }: { values: unknown }) {
  if (!values || typeof values !== 'object') return null;
  return (
    <dl>
      {Object.entries(values).map(([name, value]) => <div><dt>{name}</dt><dd>{string(value)}</dd></div>)}
    </dl>
  );
}
