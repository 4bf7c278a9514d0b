// Tickets: what devices raise becomes work, by keyboard and by mouse, live, and with the device beside it.
import type { Page } from 'playwright-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Work } from '../../fake/fleet';
import { shop, signIn } from './desk';
import { expectAccessible, until, useBrowser, type Stage } from './harness';

useBrowser();

async function open(): Promise<Stage> {
  const stage = await shop();
  onTestFinished(() => stage.close());
  return stage;
}

function work(stage: Stage, code: string): Work {
  const found = [...stage.fake.world.fleet.tickets.values()].find((each) => each.code === code);
  if (!found) throw new Error(`no ticket for ${code}`);
  return found;
}

async function press(page: Page, ...keys: string[]): Promise<void> {
  for (const key of keys) await page.keyboard.press(key);
}

/** The ticket of a code, found in the list of all that are open. */
async function openTicket(stage: Stage, page: Page, code: string): Promise<Work> {
  await press(page, 'g', 'f', '3');
  await page.locator('.row', { hasText: code }).click();
  await page.locator('.head h2', { hasText: work(stage, code).title }).waitFor();
  await page.locator('.log[aria-busy=false]').waitFor();
  return work(stage, code);
}

const chip = (page: Page, text: string) => page.locator('.head .chip', { hasText: text });

it('works a ticket off by keyboard alone', async () => {
  const stage = await open();
  const page = await signIn(stage);
  const ticket = work(stage, 'E17');
  await press(page, 'g', 'f', '2');
  await page.locator('.row', { hasText: ticket.number }).waitFor();
  await press(page, 'j');
  await page.locator('.head h2', { hasText: 'Compressor over temperature' }).waitFor();
  expect(await page.locator('.head p').textContent()).toBe(`${ticket.number}NewCriticalE17 · Store 114 / freezer 1 · Nobody`);
  await press(page, 'i');
  await chip(page, 'In progress').waitFor();
  expect(ticket.agent?.name).toBe('Mei Lin');
  await press(page, 'n');
  await page.keyboard.type('Ask the store about the door');
  await press(page, 'Enter', 'Escape');
  await page.locator('.message.note:not(.pending)', { hasText: 'Ask the store about the door' }).waitFor();
  await press(page, 'c');
  await page.keyboard.type('reset');
  await press(page, 'Tab');
  await page.keyboard.type('{"hard": true}');
  await press(page, 'Control+Enter', 'Escape');
  await page.locator('.message.out:not(.pending)', { hasText: 'Command: reset' }).waitFor();
  expect(ticket.history.at(-1)?.message?.content).toEqual([{ type: 'command', name: 'reset', arguments: { hard: true } }]);
  await press(page, 'v');
  await page.getByRole('combobox', { name: 'Severity' }).selectOption('minor');
  await page.getByRole('textbox', { name: 'Category' }).fill('cooling');
  await press(page, 'Enter');
  await chip(page, 'Minor').waitFor();
  expect([ticket.severity, ticket.category, ticket.title]).toEqual(['minor', 'cooling', 'Compressor over temperature']);
  await page.locator('.notice.edited', { hasText: 'Edited · Mei Lin · Severity: Minor · Category: cooling' }).waitFor();
  await press(page, 'e');
  await chip(page, 'Done').waitFor();
  expect(await page.locator('.row').count()).toBe(0);
  await press(page, '4');
  await page.locator('.row', { hasText: ticket.number }).click();
  await press(page, 'o');
  await chip(page, 'Reopened').waitFor();
  await press(page, 'x');
  await page.getByRole('heading', { name: `Cancel ${ticket.number}?` }).waitFor();
  await page.keyboard.type('sold the freezer');
  await press(page, 'Enter');
  await chip(page, 'Cancelled').waitFor();
  await page.locator('.notice.cancelled', { hasText: 'sold the freezer' }).waitFor();
});

describe('live', () => {
  it('shows what the device raises, clears and measures, without a reload', async () => {
    const stage = await open();
    const { fleet, conversations } = stage.fake.world;
    const page = await signIn(stage);
    const ticket = await openTicket(stage, page, 'E17');
    const device = conversations.get(ticket.conversation_id)!;
    const aside = page.getByRole('complementary', { name: 'Device' });
    await aside.getByRole('row', { name: 'temperature' }).getByText('9.4').waitFor();
    expect(await page.locator('.notice.raised').count()).toBe(0);
    fleet.raise(device, { code: 'E17', severity: 'critical', text: 'Compressor over temperature', readings: { temperature: 12.5 } });
    await page.locator('.notice.raised').waitFor();
    await aside.getByRole('row', { name: 'temperature' }).getByText('12.5').waitFor();
    // Another fault of the same device: another ticket, and the device's state shows both.
    fleet.raise(device, { code: 'P9', severity: 'major', text: 'Low pressure' });
    await page.locator('.row', { hasText: 'Low pressure' }).waitFor();
    await aside.getByRole('link', { name: 'P9' }).waitFor();
    await page.locator('.place', { hasText: 'Tickets' }).getByText('2', { exact: true }).waitFor();
    fleet.clear(device, 'E17');
    await chip(page, 'To be confirmed').waitFor();
    await page.locator('.notice.cleared').waitFor();
    await aside.locator('.faults .cleared', { hasText: 'E17' }).waitFor();
    await aside.getByRole('link', { name: 'P9' }).click();
    await page.locator('.head h2', { hasText: 'Low pressure' }).waitFor();
    // Readings alone are told by no event.
    fleet.measure(device, { temperature: 3.5 });
    await aside.getByRole('row', { name: 'temperature' }).getByText('3.5').waitFor();
  });

  it('shows how far a command got and why it failed, and keeps what the device did while the line was down', async () => {
    const stage = await open();
    const { world } = stage.fake;
    const page = await signIn(stage);
    const ticket = await openTicket(stage, page, 'E17');
    await page.getByRole('textbox', { name: 'Command name' }).fill('defrost');
    await page.getByRole('combobox', { name: 'Expires' }).selectOption('60');
    await page.getByRole('button', { name: 'Send command' }).click();
    await page.locator('.message.out .delivery.queued').waitFor();
    await until(async () => (await page.locator('.message.pending').count()) === 0);
    const message = ticket.history.at(-1)!.message!;
    const device = world.conversations.get(ticket.conversation_id)!;
    world.deliver(device, message, { state: 'sent', reason: null, attempts: 1 });
    await page.locator('.message.out .delivery.sent').waitFor();
    await until(() => world.consoles.size === 1);
    stage.fake.faults.noSockets = true;
    stage.fake.dropSockets();
    await page.getByText('Connection lost.').waitFor();
    world.deliver(device, message, { state: 'expired', reason: 'no answer within 60 s', attempts: 1 });
    world.fleet.clear(device, 'E17');
    stage.fake.faults.noSockets = false;
    await page.locator('.message.out', { hasText: 'Expired before it could be sent: no answer within 60 s' }).waitFor();
    await chip(page, 'To be confirmed').waitFor();
    await page.locator('.notice.cleared').waitFor();
  });

  it('sends once when the answer is lost, and shows a refusal by its sentence', async () => {
    const stage = await open();
    const page = await signIn(stage);
    const ticket = await openTicket(stage, page, 'E17');
    stage.fake.faults.loseAnswer = /(reply|note)$/;
    await press(page, 'c');
    await page.keyboard.type('reset');
    await press(page, 'Enter');
    await until(() => stage.fake.calls.filter((call) => call.endsWith('/reply')).length >= 2);
    stage.fake.faults.loseAnswer = undefined;
    await until(async () => (await page.locator('.message.pending').count()) === 0);
    expect(ticket.history.filter((entry) => entry.kind === 'sent').length).toBe(1);
    expect(await page.locator('.message.out').count()).toBe(1);
    // Confirmed by somebody else a moment ago.
    ticket.state = 'done';
    await page.getByRole('button', { name: 'Confirm' }).click();
    await page.getByRole('status').getByText('the ticket is done').waitFor();
  });
});

it('shows the end of a long history first, and the rest on demand', async () => {
  const stage = await open();
  const { fleet } = stage.fake.world;
  const ticket = work(stage, 'E17');
  for (let n = 2; n <= 230; n++) fleet.change(ticket, {}, { kind: 'note', text: `note ${n}.` });
  const page = await signIn(stage);
  await openTicket(stage, page, 'E17');
  const notes = (): Promise<number> => page.locator('.message.note').count();
  await page.locator('.message.note', { hasText: 'note 230.' }).waitFor();
  expect(await notes()).toBe(100);
  await page.getByRole('button', { name: 'Show earlier' }).click();
  await until(async () => (await notes()) === 200);
  await page.getByRole('button', { name: 'Show earlier' }).click();
  await until(async () => (await notes()) === 229);
  expect(await page.getByRole('button', { name: 'Show earlier' }).count()).toBe(0);
});

it('keeps drafts per ticket, and says what is wrong with arguments', async () => {
  const stage = await open();
  const page = await signIn(stage);
  await openTicket(stage, page, 'E17');
  await press(page, 'c');
  await page.keyboard.type('reset');
  await page.getByRole('textbox', { name: 'Arguments' }).fill('{ "hard": tru');
  await page.getByText('The arguments are not valid JSON.').waitFor();
  await press(page, 'Control+Enter', 'Escape');
  await openTicket(stage, page, 'D02');
  expect(await page.getByRole('textbox', { name: 'Command name' }).inputValue()).toBe('');
  await page.locator('.row', { hasText: 'E17' }).locator('.draft').waitFor();
  await page.reload();
  await openTicket(stage, page, 'E17');
  expect(await page.getByRole('textbox', { name: 'Command name' }).inputValue()).toBe('reset');
  expect(await page.getByRole('textbox', { name: 'Arguments' }).inputValue()).toBe('{ "hard": tru');
  expect(stage.fake.calls.some((call) => call.endsWith('/reply'))).toBe(false);
});

it('finds by number and filters, hands over, and lists tickets beside the conversation', async () => {
  const stage = await open();
  const page = await signIn(stage);
  const ticket = await openTicket(stage, page, 'D02');
  await page.locator('.row', { hasText: 'D02' }).getByText('Flapping').waitFor();
  await press(page, '/');
  await page.keyboard.type(work(stage, 'E04').number);
  await until(async () => (await page.locator('.row').count()) === 1);
  await page.locator('.row', { hasText: 'E04' }).waitFor();
  await page.getByRole('searchbox').fill('');
  await page.getByRole('button', { name: 'Filters' }).click();
  await page.getByRole('combobox', { name: 'Severity' }).selectOption('minor');
  await until(async () => (await page.locator('.row').count()) === 1);
  await press(page, 'a');
  await page.getByRole('button', { name: 'Customer care' }).click();
  await chip(page, 'Reopened').waitFor();
  expect([ticket.group?.name, ticket.agent]).toEqual(['Customer care', null]);
  await page.getByRole('button', { name: 'Take it' }).click();
  await until(() => ticket.agent?.name === 'Mei Lin');
  await page.getByRole('link', { name: 'Open the conversation' }).click();
  // The device takes orders there too; what is said there belongs to no ticket.
  await page.locator('.composer').getByRole('button', { name: 'Command' }).click();
  await page.keyboard.type('ping');
  await press(page, 'Enter');
  await page.locator('.message.out:not(.pending)', { hasText: 'Command: ping' }).waitFor();
  expect(ticket.history.some((entry) => entry.kind === 'sent')).toBe(false);
  await page.getByRole('complementary').getByRole('link', { name: ticket.number }).click();
  await page.locator('.head h2', { hasText: ticket.title }).waitFor();
});

describe('accessibility', () => {
  for (const [locale, colorScheme, width] of [['en-GB', 'light', 1440], ['zh-CN', 'dark', 1440], ['en-GB', 'dark', 1024], ['zh-CN', 'light', 1024]] as const) {
    it(`passes axe with every ticket and dialog, ${locale}, ${colorScheme}, ${width}`, async () => {
      const stage = await open();
      const page = await signIn(stage, 'mei', { locale, colorScheme, viewport: { width, height: 768 } });
      await press(page, 'g', 'f', '3');
      await page.locator('.row').nth(2).waitFor();
      await expectAccessible(page);
      for (const code of ['E17', 'D02', 'E04']) {
        await page.locator('.row', { hasText: code }).click();
        await page.locator('.head h2', { hasText: work(stage, code).title }).waitFor();
        await page.locator('.log[aria-busy=false]').waitFor();
        await expectAccessible(page);
      }
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      for (const key of ['c', 'n']) {
        await press(page, key);
        await expectAccessible(page);
        await press(page, 'Escape');
      }
      await press(page, 'c');
      await page.locator('.order textarea').fill('{');
      await expectAccessible(page);
      await press(page, 'Escape');
      for (const key of ['a', 'v', 'x', '?']) {
        await press(page, key);
        await page.locator('dialog[open]').waitFor();
        await expectAccessible(page);
        await press(page, 'Escape');
        await page.locator('dialog[open]').waitFor({ state: 'detached' });
      }
      if (width < 1240) {
        await press(page, 'd');
        await page.locator('.device tbody tr').first().waitFor();
        await expectAccessible(page);
      }
    });
  }
});
