// A device and an agent in a real browser: a fault becomes a ticket, a command goes to the device, its answer comes back.
// SERVER, TOKEN, DEVICE_PORT and DEVICE_PASSWORD say where and as whom; with SHOTS, a folder, a picture is taken on the way.
import { deepEqual, equal } from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { launch } from '../browser/chromium';
import { Device } from './device';
import { need } from './server';
import { Watched } from './watch';

const SERVER = need('SERVER');
const TOKEN = need('TOKEN');
const SHOTS = process.env['SHOTS'];
const NAME = 'press-7';
/** Long enough for a busy machine, short enough to say what hangs. */
const DEADLINE_MS = 180_000;

const said = (device: Device, what: string, body: object): Promise<void> => device.publish(`factory/${NAME}/${what}`, body);
const state = (page: Page, name: string) => page.locator('.head .chip', { hasText: name }).waitFor();
const reading = (page: Page, name: string, value: string) => page.locator('.device').getByRole('row', { name }).getByText(value).waitFor();

/** Assigned by the router, and shown without a reload. */
async function faultComes(page: Page, device: Device): Promise<void> {
  await page.getByRole('combobox', { name: 'Your presence' }).selectOption('online');
  await page.keyboard.press('Escape');
  for (const key of ['g', 'f']) await page.keyboard.press(key);
  await page.getByText('No open ticket is assigned to you.').waitFor();
  await said(device, 'fault', { code: 'E17', on: true, lvl: 1, text: 'Hydraulic pressure low', ts: Date.now() });
  await page.locator('.row', { hasText: 'Hydraulic pressure low' }).waitFor();
  await page.keyboard.press('j');
  await state(page, 'In progress');
  await page.locator('.device .faults .raised', { hasText: 'E17' }).waitFor();
  await said(device, 'readings', { temperature: 71.5, pressure: 2.1 });
  await reading(page, 'pressure', '2.1');
}

async function commandGoes(page: Page, device: Device): Promise<void> {
  await page.keyboard.press('n');
  await page.keyboard.type('Valve 3 was replaced in spring, look there first');
  await page.keyboard.press('Enter');
  await page.locator('.message.note:not(.pending)').waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('c');
  await page.keyboard.type('reset-pump');
  await page.keyboard.press('Tab');
  await page.keyboard.type('{"pump": 2}');
  await page.keyboard.press('Control+Enter');
  const { topic, body } = await device.next();
  equal(topic, `factory/${NAME}/cmd`);
  deepEqual([body['cmd'], body['args']], ['reset-pump', { pump: 2 }]);
  await page.locator('.message.out .delivery.sent').waitFor();
  await said(device, 'answer', { id: body['id'], ok: true });
  await page.locator('.message.out .delivery.delivered').waitFor();
  await page.keyboard.press('Escape');
}

async function faultGoes(page: Page, device: Device): Promise<void> {
  await said(device, 'readings', { temperature: 58.2, pressure: 6.4 });
  await said(device, 'fault', { code: 'E17', on: false, ts: Date.now() });
  await state(page, 'To be confirmed');
  await reading(page, 'pressure', '6.4');
  await page.locator('.device .faults .cleared', { hasText: 'E17' }).waitFor();
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/ticket.png` });
  await page.keyboard.press('e');
  await state(page, 'Done');
  await page.getByText('No open ticket is assigned to you.').waitFor();
}

setTimeout(() => {
  console.error(`not done within ${DEADLINE_MS} ms`);
  process.exit(1);
}, DEADLINE_MS).unref();

const browser = await launch();
try {
  const device = await Device.open(Number(need('DEVICE_PORT')), NAME, need('DEVICE_PASSWORD'));
  await device.subscribe(`factory/${NAME}/cmd`);
  const agent = await Watched.open(browser, `${SERVER}/console/`, { viewport: { width: 1440, height: 900 } });
  const { page } = agent;
  try {
    await page.locator('#token').fill(TOKEN);
    await page.keyboard.press('Enter');
    await faultComes(page, device);
    await commandGoes(page, device);
    await faultGoes(page, device);
    await agent.expectClean();
    agent.expectLoads(1);
  } catch (error) {
    console.error(`agent: ${JSON.stringify([agent.problems, await page.locator('.log').allTextContents()])}`);
    const folder = process.env['TRACES'];
    if (folder) await page.screenshot({ path: `${folder}/ticket.png` });
    throw error;
  }
  device.close();
} finally {
  await browser.close();
}
process.exit(0);
