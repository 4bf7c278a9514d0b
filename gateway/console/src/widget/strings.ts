// Everything the widget says, in both languages. `{n}` and `{name}` are filled in.

const en = {
  chat: 'Chat',
  open: 'Open chat',
  openUnread: 'Open chat, {n} unread',
  close: 'Close chat',
  log: 'Conversation',
  write: 'Write a message…',
  message: 'Message',
  send: 'Send',
  attach: 'Attach files',
  remove: 'Remove {name}',
  drop: 'Drop files here',
  newest: 'New messages',
  you: 'You',
  team: 'Support',
  sending: 'Sending…',
  waiting: 'Waiting to be sent',
  sent: 'Sent',
  read: 'Read',
  failed: 'Not sent',
  retry: 'Try again',
  discard: 'Discard',
  typing: '{name} is typing',
  connecting: 'Connecting…',
  offline: 'No connection. Your messages are kept and sent when it is back.',
  queue: 'You are number {n} in line.',
  queued: 'Someone will be with you soon.',
  assigned: 'You are talking to {name}.',
  closed: 'This conversation has ended. Write to us any time.',
  today: 'Today',
  yesterday: 'Yesterday',
  unknown: 'This message cannot be shown here.',
  uploading: '{name}: {n} % uploaded',
  tooLarge: '{name} is larger than {n}.',
  wrongType: 'Files like {name} cannot be sent.',
  uploadFailed: '{name} could not be uploaded.',
  full: 'Too many messages are waiting to be sent.',
  whyTooLarge: 'it is too large',
  whyForbidden: 'it is not allowed here',
  whyStale: 'it waited for more than a day',
  welcome: 'Hello! How can we help?',
  reply: 'We answer as soon as we can',
};

export type Text = typeof en;

const zh: Text = {
  chat: '在线客服',
  open: '打开聊天',
  openUnread: '打开聊天，{n} 条未读',
  close: '关闭聊天',
  log: '对话',
  write: '输入消息…',
  message: '消息',
  send: '发送',
  attach: '添加附件',
  remove: '移除 {name}',
  drop: '将文件拖放到此处',
  newest: '新消息',
  you: '您',
  team: '客服',
  sending: '发送中…',
  waiting: '等待发送',
  sent: '已发送',
  read: '已读',
  failed: '未发送',
  retry: '重试',
  discard: '删除',
  typing: '{name}正在输入',
  connecting: '正在连接…',
  offline: '网络已断开。消息会保留，恢复后自动发送。',
  queue: '您排在第 {n} 位，请稍候。',
  queued: '客服很快为您服务。',
  assigned: '{name}正在为您服务。',
  closed: '本次会话已结束，欢迎随时留言。',
  today: '今天',
  yesterday: '昨天',
  unknown: '此消息无法在此显示。',
  uploading: '{name}：已上传 {n}%',
  tooLarge: '{name} 超过 {n} 的上限。',
  wrongType: '无法发送 {name} 这类文件。',
  uploadFailed: '{name} 上传失败。',
  full: '等待发送的消息过多。',
  whyTooLarge: '内容过大',
  whyForbidden: '此处不允许发送',
  whyStale: '等待超过一天',
  welcome: '您好！请问有什么可以帮您？',
  reply: '我们会尽快回复您',
};

/** The page's wish, else the browser's language; English for all others. */
export function chooseLang(wish: string | undefined): 'zh' | 'en' {
  return /^zh/i.test(wish || navigator.language) ? 'zh' : 'en';
}

export function textFor(lang: 'zh' | 'en'): Text {
  return lang === 'zh' ? zh : en;
}

export function fill(text: string, values: { n?: number | string; name?: string }): string {
  return text.replace(/\{(n|name)\}/g, (_, key: 'n' | 'name') => String(values[key] ?? ''));
}
