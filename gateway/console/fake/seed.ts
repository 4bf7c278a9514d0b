// A small shop's day, for development, screenshots and tests of the console.
import { randomUUID } from 'node:crypto';
import type { Agent, DeliveryState, State } from '../src/console/api/types';
import type { Stored, World } from './world';

/** Tokens to sign in with. */
export const TOKENS = { mei: 'pb_mei', tom: 'pb_tom', sara: 'pb_sara' };

type Line = ['in' | 'out' | 'note', string] | ['out', string, DeliveryState, string];

interface Story {
  channel: [string, string];
  name: string;
  address: string;
  state: State;
  agent?: number;
  group?: number;
  minutes: number;
  unread?: number;
  lines: Line[];
}

const STORIES: Story[] = [
  { channel: ['wechat-main', 'wechat'], name: '王芳', address: 'oZx81kQ7', state: 'waiting', group: 0, minutes: 14, unread: 2,
    lines: [['in', '你好，门店的冷柜从今天早上开始温度一直在 8 度，牛奶会不会坏？'], ['in', '可以派人来看一下吗？']] },
  { channel: ['acme-sms', 'http'], name: 'Daniel Ortiz', address: '+34 612 555 018', state: 'waiting', group: 0, minutes: 6, unread: 1,
    lines: [['in', 'The technician was due at 10. Is he still coming?']] },
  { channel: ['freezers', 'mqtt'], name: 'Store 114 / freezer 3', address: 'store-114/frz-3', state: 'waiting', group: 1, minutes: 3, unread: 1,
    lines: [['in', 'E17: compressor over temperature']] },
  { channel: ['support-mail', 'email'], name: 'Hannah Weiss', address: 'h.weiss@bakery.example', state: 'open', agent: 0, group: 0, minutes: 9, unread: 1,
    lines: [
      ['in', 'Good morning, our order 88213 arrived with two broken shelves. Photos: https://bakery.example/photos/88213'],
      ['out', 'Good morning Hannah, I am sorry about that. I have asked the warehouse for two new shelves today.', 'delivered', ''],
      ['note', 'Warehouse confirms two shelves in stock, ships tomorrow 08:00. No charge, carrier damage.'],
      ['in', 'Thank you! Can they come before Friday? We open early for the market.'],
    ] },
  { channel: ['acme-sms', 'http'], name: 'Li Wei', address: '+86 138 0013 8000', state: 'open', agent: 0, group: 0, minutes: 31,
    lines: [
      ['in', 'Please send the invoice again.'],
      ['out', 'Of course, which month do you need?', 'read', ''],
      ['in', 'October'],
      ['out', 'Here is the link to October: https://pay.example/i/2210', 'failed', 'the number is not in service (21)'],
    ] },
  { channel: ['push', 'push'], name: 'Amara Diallo', address: 'device 7f3a', state: 'pending', agent: 0, group: 0, minutes: 95,
    lines: [['in', 'Can I change the delivery address?'], ['out', 'Yes. Where should it go?', 'read', '']] },
  { channel: ['support-mail', 'email'], name: 'Jonas Berg', address: 'jonas@fjord.example', state: 'open', agent: 1, group: 0, minutes: 22,
    lines: [['in', 'Do you rent out cold rooms for events?'], ['out', 'We do, from 6 m². For which dates?', 'sent', '']] },
  { channel: ['wechat-main', 'wechat'], name: '陈明', address: 'oZx90aB2', state: 'snoozed', agent: 0, group: 0, minutes: 240,
    lines: [['in', '下周二上午可以安装吗？'], ['out', '可以的，我们周一再和您确认时间。', 'delivered', '']] },
  { channel: ['web', 'webchat'], name: 'Visitor 5c1e', address: '5c1e', state: 'resolved', agent: 1, group: 0, minutes: 400,
    lines: [['in', 'What is your phone number?'], ['out', '+49 30 555 0100, weekdays from 8 to 18.', 'read', '']] },
];

export function seed(world: World): void {
  const names: [string, string, Agent['role'], Agent['presence']][] = [
    ['Mei Lin', TOKENS.mei, 'admin', 'online'], ['Tom Becker', TOKENS.tom, 'agent', 'online'], ['Sara Okafor', TOKENS.sara, 'supervisor', 'away'],
  ];
  const groups = ['Customer care', 'Field service'].map((name) => ({ id: randomUUID() as string, name }));
  for (const [name, token, role, presence] of names) {
    const agent: Agent = { id: randomUUID(), name, role, presence, active: true, capacity: 6, load: 0, groups: [groups[0]!] };
    world.agents.push(agent);
    world.tokens.push({ id: randomUUID(), agent_id: agent.id, name: 'console', created_at: new Date().toISOString(), expires_at: null, last_used_at: null, token });
  }
  const ids = world.agents.map((agent) => agent.id);
  world.groups = [
    { ...groups[0]!, strategy: 'least_loaded', members: ids, channels: ['web', 'wechat-main', 'acme-sms', 'support-mail', 'push'] },
    { ...groups[1]!, strategy: 'round_robin', members: ids.slice(2), channels: ['freezers'] },
  ];
  const minutesAgo = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString();
  world.channels = [
    { id: 'web', kind: 'webchat', state: 'running', reason: null, backlog: 0, last_error: null },
    { id: 'wechat-main', kind: 'wechat', state: 'running', reason: null, backlog: 2, last_error: null },
    { id: 'support-mail', kind: 'email', state: 'running', reason: null, backlog: 0, last_error: null },
    { id: 'acme-sms', kind: 'http', state: 'failing', reason: null, backlog: 37, last_error: { at: minutesAgo(4), detail: '503 from api.acme.example, next attempt in 40 s' } },
    { id: 'push', kind: 'push', state: 'paused', reason: 'new certificate on Monday', backlog: 112, last_error: null },
    { id: 'freezers', kind: 'mqtt', state: 'running', reason: null, backlog: 0, last_error: null },
  ];
  for (const story of STORIES) tell(world, story, groups, minutesAgo);
  faults(world, minutesAgo);
  world.dead = [
    { id: randomUUID(), channel: { id: 'acme-sms', kind: 'http' }, conversation_id: [...world.conversations.keys()][4] ?? null, direction: 'outbound', reason: 'rejected',
      detail: 'the number is not in service (21)', attempts: 5, at: minutesAgo(28), preview: 'Here is the link to October: https://pay.example/i/2210',
      envelope: { schema: 1, type: 'message', direction: 'outbound', content: [{ type: 'text', text: 'Here is the link to October: https://pay.example/i/2210' }] },
      exchange: { request: { method: 'POST', url: 'https://api.acme.example/sms', headers: { authorization: '[redacted]' } }, answer: { status: 400, body: { code: 21, text: 'absent subscriber' } } } },
    { id: randomUUID(), channel: { id: 'support-mail', kind: 'email' }, conversation_id: null, direction: 'inbound', reason: 'malformed', detail: 'no From header', attempts: 1, at: minutesAgo(190), preview: null, envelope: null, exchange: null },
  ];
  world.events = [];
}

function tell(world: World, story: Story, groups: { id: string; name: string }[], minutesAgo: (minutes: number) => string): void {
  const [id, kind] = story.channel;
  const conversation: Stored = world.newConversation({ id, kind }, { id: randomUUID(), name: story.name, address: story.address, verified: kind !== 'webchat', locale: /[一-龥]/.test(story.name) ? 'zh-CN' : 'en' });
  const agent = world.agents[story.agent ?? -1];
  story.lines.forEach(([way, text, state, reason], index) => {
    const who = agent ?? world.agents[0]!;
    const from = way === 'in' ? { kind: 'contact' as const, id: conversation.contact.id, name: story.name } : { kind: 'agent' as const, id: who.id, name: who.name };
    const delivery = way === 'out' ? { state: state ?? 'sent', reason: reason || null, attempts: state === 'failed' ? 5 : 1 } : null;
    const message = world.addMessage(conversation, from, [{ type: 'text', text }], {
      kind: way === 'note' ? 'note' : 'message', direction: way === 'in' ? 'inbound' : way === 'out' ? 'outbound' : null, delivery,
    });
    message.at = minutesAgo(story.minutes + (story.lines.length - index - 1) * 3);
  });
  const last = conversation.messages[conversation.messages.length - 1]!;
  if (kind === 'mqtt') last.content = [{ type: 'fault', device: 'frz-3', code: 'E17', severity: 'critical', state: 'raised', text: 'compressor over temperature', readings: { temperature: 9.4 }, occurred_at: last.at }];
  Object.assign(conversation, {
    state: story.state, unread: story.unread ?? 0, updated_at: last.at, created_at: minutesAgo(story.minutes + 30),
    waiting_since: story.state === 'waiting' ? minutesAgo(story.minutes) : null,
    agent: agent ? { id: agent.id, name: agent.name } : null, group: story.group === undefined ? null : groups[story.group]!,
  });
  if (conversation.last_message) conversation.last_message.at = last.at;
  if (agent && story.state !== 'resolved') agent.load += 1;
  world.change(conversation, {});
}

/** Devices with tickets: one critical and waiting, one in work and flapping, one quiet again, one done. */
function faults(world: World, minutesAgo: (minutes: number) => string): void {
  const { fleet } = world;
  const [mei, tom] = world.agents as [Agent, Agent];
  const field = world.groups[1]!;
  const device = (name: string, address: string): Stored => {
    const made = world.newConversation({ id: 'freezers', kind: 'mqtt' }, { id: randomUUID(), name, address, verified: true, locale: null });
    return Object.assign(made, { state: 'resolved', waiting_since: null, group: { id: field.id, name: field.name }, updated_at: minutesAgo(600), created_at: minutesAgo(9000) } satisfies Partial<Stored>);
  };
  const one = device('Store 114 / freezer 1', 'store-114/frz-1');
  fleet.raise(one, { code: 'E17', severity: 'critical', text: 'Compressor over temperature', readings: { temperature: 9.4, setpoint: 2, compressor: 'off', door: 'closed' } }, minutesAgo(12));
  fleet.devices.get(one.id)!.location = { lat: 52.5163, lon: 13.3777, label: 'Store 114, cold room' };
  const two = device('Store 20 / freezer 4', 'store-20/frz-4');
  const flapping = fleet.raise(two, { code: 'D02', severity: 'minor', text: 'Door open for too long', readings: { temperature: 4.1, door: 'open' } }, minutesAgo(50));
  fleet.change(flapping, { state: 'processing', agent: { id: mei.id, name: mei.name }, waiting_since: null }, { kind: 'assigned', at: minutesAgo(49), data: { from: 'new', to: 'processing', assignee: mei.id } });
  for (const minutes of [40, 30, 20]) {
    fleet.clear(two, 'D02', minutesAgo(minutes + 2));
    fleet.raise(two, { code: 'D02', severity: 'minor', text: 'Door open for too long' }, minutesAgo(minutes));
  }
  fleet.change(flapping, { n_flaps: 3, settles_at: minutesAgo(-4), updated_at: minutesAgo(20) }, { kind: 'flapping', at: minutesAgo(20) });
  const three = device('Store 7 / freezer 2', 'store-7/frz-2');
  const quiet = fleet.raise(three, { code: 'E04', severity: 'major', text: 'Fan blocked', readings: { temperature: 3.2, fan: 0 } }, minutesAgo(90));
  fleet.change(quiet, { state: 'processing', agent: { id: tom.id, name: tom.name }, waiting_since: null }, { kind: 'assigned', at: minutesAgo(88), data: { from: 'new', to: 'processing', assignee: tom.id } });
  fleet.clear(three, 'E04', minutesAgo(60));
  const old = fleet.raise(three, { code: 'offline', severity: 'warning', text: 'Silent for 15 minutes' }, minutesAgo(1500));
  fleet.change(old, { state: 'done', waiting_since: null }, { kind: 'done', agent: tom, at: minutesAgo(1400), data: { from: 'new', to: 'done' } });
}
