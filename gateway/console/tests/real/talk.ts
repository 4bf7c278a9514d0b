// A visitor and an agent, each in a browser, on a real server that is killed in between.
// SERVER and TOKEN say where and as whom; with SHOTS, a folder, pictures for the documentation are taken on the way.
import { deepEqual, equal, ok } from 'node:assert/strict';
import type { Browser, Page } from 'playwright-core';
import { launch, until } from '../browser/chromium';
import { ask, need, passerBy } from './server';
import { pictureLoaded, Watched } from './watch';

const SERVER = need('SERVER');
const TOKEN = need('TOKEN');
const SHOTS = process.env['SHOTS'];
const AGENT = 'Ada Marsh';
const NOTE = 'Third call this month, check the door seal';
/** Long enough for a busy machine, short enough to say what hangs. */
const DEADLINE_MS = 240_000;
/** Both pages wait longer and longer between tries; this is more than the longest wait. */
const BACK_MS = 60_000;

const said = (page: Page): Promise<string[]> => page.locator('.log .message .bubble').allTextContents();
const write = async (page: Page, text: string): Promise<void> => {
  await page.getByRole('textbox', { name: 'Message' }).fill(text);
  await page.keyboard.press('Enter');
};
const shot = async (page: Page, name: string): Promise<void> => {
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name}.png` });
};

/** A photograph, as far as a test can take one: the front of a controller that shows a fault. */
async function photograph(browser: Browser): Promise<Buffer> {
  const page = await browser.newPage({ viewport: { width: 420, height: 190 } });
  await page.setContent(`<body style="margin:0;display:grid;place-items:center;height:100vh;background:linear-gradient(140deg,#9fb2b8,#5f757c)">
    <div style="padding:22px 34px;border-radius:14px;background:#20282b;box-shadow:0 12px 30px #0006;font:600 15px sans-serif;color:#9db0b6;text-align:center">
    NC-200<div style="font:700 84px monospace;color:#ff5a3c;line-height:1.1;text-shadow:0 0 14px #ff5a3c88">7.8°</div>SET 2.0&nbsp;&nbsp;&nbsp;ALARM E4</div>`);
  const picture = await page.screenshot();
  await page.close();
  return picture;
}

async function visitorWrites(browser: Browser): Promise<Watched> {
  const visitor = await Watched.open(browser, `${SERVER}/demo`, { viewport: { width: 1200, height: 760 } });
  const { page } = visitor;
  await page.locator('.launcher').waitFor();
  // The launcher is the last stop of the page.
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.type('Hello, our cold room is too warm.');
  await page.keyboard.press('Enter');
  await page.getByText('· Sent').waitFor();
  return visitor;
}

async function agentTakesOver(browser: Browser, visitor: Page): Promise<Watched> {
  const agent = await Watched.open(browser, `${SERVER}/console/`, { viewport: { width: 1440, height: 900 } });
  const { page } = agent;
  await page.locator('#token').fill(TOKEN);
  await page.keyboard.press('Enter');
  await page.getByText('Nothing is assigned to you.').waitFor();
  await page.getByRole('combobox', { name: 'Your presence' }).selectOption('online');
  // Assigned by the router, and shown without a reload.
  const row = page.locator('.row', { hasText: 'our cold room is too warm' });
  await row.waitFor();
  await visitor.getByText(`You are talking to ${AGENT}.`).waitFor();
  await row.click();
  await page.locator('.message.in', { hasText: 'our cold room is too warm' }).waitFor();
  await visitor.getByText('· Read').waitFor();
  return agent;
}

async function talk(visitor: Page, agent: Page, picture: Buffer): Promise<void> {
  await agent.keyboard.press('r');
  await agent.keyboard.type('We are on it. What does the display say?', { delay: 5 });
  await visitor.getByText(`${AGENT} is typing`).waitFor();
  // The chat is closed: the reply arrives, but is not read yet.
  await visitor.keyboard.press('Escape');
  await agent.keyboard.press('Enter');
  await visitor.getByRole('button', { name: 'Open chat, 1 unread' }).waitFor();
  await agent.locator('.delivery.delivered').waitFor();
  await visitor.getByRole('button', { name: 'Open chat, 1 unread' }).press('Enter');
  await visitor.locator('.message.agent', { hasText: 'What does the display say?' }).locator('.author', { hasText: AGENT }).waitFor();
  await agent.locator('.delivery.read').waitFor();
  await visitor.locator('input[type=file]').setInputFiles({ name: 'display.png', mimeType: 'image/png', buffer: picture });
  await visitor.getByRole('textbox', { name: 'Message' }).fill('This, for an hour now:');
  await visitor.locator('.send[aria-disabled=false]').waitFor(); // uploaded
  await visitor.keyboard.press('Enter');
  await pictureLoaded(agent, 'display.png');
  await pictureLoaded(visitor, 'display.png');
}

/** Both write while the server is dead; both pages find back by themselves. */
async function survive(visitor: Watched, agent: Watched): Promise<void> {
  visitor.unreachable = agent.unreachable = true;
  await ask('kill');
  await visitor.page.getByText('No connection.').waitFor();
  await agent.page.getByText('Connection lost.').waitFor();
  await write(visitor.page, 'Is the milk still good?');
  await visitor.page.getByText('Waiting to be sent').waitFor();
  await agent.page.getByRole('textbox', { name: /^Reply to/ }).fill('E4 is the fan. A technician is on the way.');
  await agent.page.keyboard.press('Enter');
  await agent.page.locator('.message.pending').waitFor();
  await ask('start');
  const answer = { hasText: 'A technician is on the way.' };
  await visitor.page.locator('.message.agent', answer).waitFor({ timeout: BACK_MS });
  await agent.page.locator('.message.in', { hasText: 'Is the milk still good?' }).waitFor({ timeout: BACK_MS });
  await agent.page.locator('.message.pending').waitFor({ state: 'detached', timeout: BACK_MS });
  await agent.page.getByText('Connection lost.').waitFor({ state: 'detached', timeout: BACK_MS });
  await visitor.page.getByText(`You are talking to ${AGENT}.`).waitFor();
  visitor.unreachable = agent.unreachable = false;
  visitor.expectLoads(1);
  agent.expectLoads(1);
  equal(await agent.page.getByRole('combobox', { name: 'Your presence' }).inputValue(), 'online');
}

async function finish(visitor: Watched, agent: Watched): Promise<void> {
  await agent.page.getByRole('textbox', { name: /^Reply to/ }).fill('Yes, if it stays below 8 °C. Keep the door shut, please.');
  await agent.page.keyboard.press('Enter');
  await visitor.page.locator('.message.agent', { hasText: 'Keep the door shut' }).waitFor();
  await agent.page.locator('.message.out', { hasText: 'Keep the door shut' }).locator('.delivery.read').waitFor();
  await shot(visitor.page, 'widget');
  await agent.page.keyboard.press('Escape');
  await agent.page.keyboard.press('n');
  await agent.page.keyboard.type(NOTE);
  await agent.page.keyboard.press('Enter');
  await agent.page.locator('.message.note:not(.pending)', { hasText: NOTE }).waitFor();
  await agent.page.keyboard.press('Escape');
  await agent.page.keyboard.press('r');
  await agent.page.keyboard.press('Escape');
  await shot(agent.page, 'console');
  await visitor.expectClean();
  await agent.expectClean();
  await agent.page.getByRole('button', { name: 'Resolve' }).click();
  await agent.page.locator('.head .chip', { hasText: 'Resolved' }).waitFor();
  await visitor.page.getByText('This conversation has ended.').waitFor();
}

/** Everything once and in one order, on both sides and after a reload; the note on one side only. */
async function compare(visitor: Watched, agent: Watched): Promise<void> {
  const before = await said(visitor.page);
  const talked = before.slice(1); // without the greeting
  deepEqual([...talked].sort(), [...new Set(talked)].sort(), 'something is there twice');
  equal(talked.length, 6);
  deepEqual(await agent.page.locator('.log .message:not(.note) .bubble').allTextContents(), talked);
  await visitor.page.reload();
  await visitor.page.getByRole('dialog').waitFor();
  await until(async () => (await said(visitor.page)).length >= before.length);
  await pictureLoaded(visitor.page, 'display.png');
  await visitor.page.getByText('This conversation has ended.').waitFor();
  deepEqual(await said(visitor.page), before);
  equal(await visitor.page.locator('.message .picture img').count(), 1);
  ok(visitor.heard.includes('Keep the door shut'), 'what the visitor was told is watched');
  ok(!visitor.heard.includes(NOTE), 'the visitor was told the note');
  await visitor.expectClean();
  await agent.expectClean();
}

setTimeout(() => {
  console.error(`not done within ${DEADLINE_MS} ms`);
  process.exit(1);
}, DEADLINE_MS).unref();

const browser = await launch();
try {
  const picture = await photograph(browser);
  const visitor = await visitorWrites(browser);
  const agent = await agentTakesOver(browser, visitor.page);
  await passerBy(SERVER, 'Harbour Bakery', 'en', 'Can you deliver a second shelf for the Larder this week?');
  await passerBy(SERVER, '王芳', 'zh', '你好，请问冷库可以装在地下室吗？');
  await agent.page.locator('.row').nth(2).waitFor();
  try {
    await talk(visitor.page, agent.page, picture);
    await survive(visitor, agent);
    await finish(visitor, agent);
    await compare(visitor, agent);
  } catch (error) {
    console.error(`visitor: ${JSON.stringify([visitor.problems, await said(visitor.page)])}\nagent: ${JSON.stringify([agent.problems, await said(agent.page)])}`);
    const folder = process.env['TRACES'];
    if (folder) await visitor.page.screenshot({ path: `${folder}/visitor.png` }), await agent.page.screenshot({ path: `${folder}/agent.png` });
    throw error;
  }
} finally {
  await browser.close();
}
process.exit(0);
