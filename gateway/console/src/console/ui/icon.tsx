// Line icons, drawn on a 24 px grid. Their meaning is always told in words too.

const PATHS = {
  inbox: 'M4 13v5a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-5M4 13 6.6 5.4A2 2 0 0 1 8.5 4h7a2 2 0 0 1 1.9 1.4L20 13M4 13h4.5l1.5 2.5h4l1.5-2.5H20',
  clock: 'M12 7v5l3.2 2M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17z',
  list: 'M9 6h11M9 12h11M9 18h11M4.5 6h.01M4.5 12h.01M4.5 18h.01',
  undelivered: 'M4 6.5h16v11H4zM4 7l8 6 8-6M16 20l4-4M16 16l4 4',
  channels: 'M12 12h.01M8.5 15.5a5 5 0 0 1 0-7M15.5 8.5a5 5 0 0 1 0 7M5.6 18.4a9 9 0 0 1 0-12.8M18.4 5.6a9 9 0 0 1 0 12.8',
  team: 'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.8 20a6.2 6.2 0 0 1 12.4 0M16 4.3a3.5 3.5 0 0 1 0 6.4M17.5 14.3a6.2 6.2 0 0 1 3.7 5.7',
  gear: 'M12 15.2a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zM12 3v2.4M12 18.6V21M21 12h-2.4M5.4 12H3M18.4 5.6l-1.7 1.7M7.3 16.7l-1.7 1.7M18.4 18.4l-1.7-1.7M7.3 7.3 5.6 5.6',
  search: 'm20 20-4.4-4.4M10.8 17.6a6.8 6.8 0 1 1 0-13.6 6.8 6.8 0 0 1 0 13.6z',
  filter: 'M4 6h16M7 12h10M10 18h4',
  check: 'm5 12.5 4.5 4.5L19 7.5',
  checks: 'm2.5 12.5 4 4L14 9M11 15l1.8 1.8L21.5 8',
  alert: 'M12 8.5v4.5M12 16.5h.01M10.3 4.4 2.9 17.3A2 2 0 0 0 4.6 20.3h14.8a2 2 0 0 0 1.7-3L13.7 4.4a2 2 0 0 0-3.4 0z',
  send: 'M4.5 12 20 4.5 15.5 20l-3.6-6.3zM11.9 13.7 20 4.5',
  clip: 'm20 11.5-8.1 8a5 5 0 0 1-7-7l8.3-8.3a3.4 3.4 0 0 1 4.8 4.8l-8.2 8.2a1.7 1.7 0 0 1-2.4-2.4l7.5-7.4',
  close: 'm6 6 12 12M18 6 6 18',
  file: 'M7 3h7l5 5v13H7zM14 3v5h5',
  note: 'M5 4h14v10l-5 6H5zM14 20v-6h5M8.5 8.5h7M8.5 12h4',
  reply: 'M9.5 6 4 11.5 9.5 17M4.5 11.5H14a6 6 0 0 1 6 6V19',
  user: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20.5a7.5 7.5 0 0 1 15 0',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z',
  back: 'm14.5 5-7 7 7 7',
  panel: 'M4 5h16v14H4zM14.5 5v14',
  chat: 'M4 5.5A2.5 2.5 0 0 1 6.5 3h11A2.5 2.5 0 0 1 20 5.5v8a2.5 2.5 0 0 1-2.5 2.5H11l-4.6 4.1c-.5.4-1.2.1-1.2-.6V16A2.5 2.5 0 0 1 4 13.5z',
  mail: 'M4 6h16v12.5H4zM4 7l8 6 8-6',
  phone: 'M7.5 3h9v18h-9zM11 18h2',
  device: 'M8 8h8v8H8zM10 4v4M14 4v4M10 16v4M14 16v4M4 10h4M4 14h4M16 10h4M16 14h4',
  wrench: 'M14.5 6.2a4.3 4.3 0 0 1 5.6-1.9l-2.9 2.9 1.6 1.6 2.9-2.9a4.3 4.3 0 0 1-5.9 5.4l-7.6 7.6a2 2 0 0 1-2.9-2.9l7.6-7.6a4.3 4.3 0 0 1 1.6-2.2z',
  pencil: 'M4 20h4L19.5 8.5l-4-4L4 16zM13 7l4 4',
  bell: 'M6 16.5V11a6 6 0 1 1 12 0v5.5l1.5 1.5h-15zM10 20.5h4',
  plus: 'M12 5v14M5 12h14',
};

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" width={size} height={size} aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

const KINDS: Record<string, IconName> = { webchat: 'chat', wechat: 'chat', email: 'mail', http: 'phone', sms: 'phone', smpp: 'phone', push: 'bell', mqtt: 'device' };

export function KindIcon({ kind, size }: { kind: string; size?: number }) {
  return <Icon name={KINDS[kind] ?? 'channels'} size={size ?? 16} />;
}
