// Reloads, lost networks, busy servers, blocked sockets and several tabs: nothing is lost, nothing is doubled.
import { expect, it, onTestFinished } from 'vitest';
import { Stage, until, useBrowser } from './harness';
import { answer, openChat, received, shown, theVisitor, write } from './visitor';

useBrowser();

async function open(setup = {}): Promise<Stage> {
  const stage = await Stage.open(setup);
  onTestFinished(() => stage.close());
  return stage;
}

it('keeps the conversation and a message not yet sent over a reload', async () => {
  const stage = await open();
  const page = await stage.page(await stage.site());
  await openChat(page);
  await write(page, 'first');
  await page.getByText('· Sent').waitFor();
  const visitor = await theVisitor(stage);
  stage.fake.faults.cut = true;
  stage.fake.dropSockets();
  await write(page, 'second');
  await page.getByText('Waiting to be sent').waitFor();
  await page.getByRole('textbox').fill('a draft');
  stage.fake.faults.cut = false;
  stage.fake.faults.unavailable = /channels/;
  stage.fake.faults.noSockets = true;
  await page.reload();
  expect(await shown(page)).toEqual(['Hello! How can we help?', 'first', 'second']);
  expect(await page.getByRole('textbox').inputValue()).toBe('a draft');
  stage.fake.faults.unavailable = undefined;
  stage.fake.faults.noSockets = false;
  await until(() => received(visitor).length === 2);
  await page.getByText('· Sent').waitFor();
  expect(received(visitor)).toEqual(['first', 'second']);
  expect(await shown(page)).toEqual(['Hello! How can we help?', 'first', 'second']);
});

it('catches up after lost connections, in order and without repeats', async () => {
  const stage = await open();
  const page = await stage.page(await stage.site());
  await openChat(page);
  await write(page, 'visitor 0');
  await page.getByText('· Sent').waitFor();
  const visitor = await theVisitor(stage);
  const expected = ['Hello! How can we help?', 'visitor 0'];
  for (let round = 1; round <= 4; round++) {
    stage.fake.dropSockets();
    await answer(stage, visitor, `agent ${round}`);
    await write(page, `visitor ${round}`);
    await until(async () => (await shown(page)).includes(`agent ${round}`) && received(visitor).includes(`visitor ${round}`));
    expected.push(`agent ${round}`, `visitor ${round}`);
  }
  await until(async () => (await page.getByText('Sending…').count()) === 0);
  expect((await shown(page)).sort()).toEqual(expected.sort());
  expect(received(visitor)).toEqual(['visitor 0', 'visitor 1', 'visitor 2', 'visitor 3', 'visitor 4']);
});

it('sends again by itself when the bus is down, and says so meanwhile', async () => {
  const stage = await open();
  let refusals = 3;
  stage.fake.webchat.setup.onMessage = () => (refusals-- > 0 ? { code: 'unavailable', retry: true, retry_after_ms: 300 } : undefined);
  const page = await stage.page(await stage.site());
  await openChat(page);
  await write(page, 'one');
  await write(page, 'two');
  await page.getByText('Waiting to be sent').first().waitFor();
  const visitor = await theVisitor(stage);
  await until(() => received(visitor).length === 2);
  expect(received(visitor)).toEqual(['one', 'two']);
});

it('asks the visitor when a message is refused for good', async () => {
  const stage = await open();
  stage.fake.webchat.setup.onMessage = () => ({ code: 'too_large', retry: false });
  const page = await stage.page(await stage.site());
  await openChat(page);
  await write(page, 'one');
  await page.getByText('Not sent: it is too large').waitFor();
  await page.reload();
  await page.getByText('Not sent: it is too large').waitFor();
  stage.fake.webchat.setup.onMessage = undefined;
  await page.getByRole('button', { name: 'Try again' }).click();
  const visitor = await theVisitor(stage);
  await until(() => received(visitor).length > 0);
  await page.getByText('· Sent').waitFor();
  expect(received(visitor)).toEqual(['one']);
});

it('talks without a socket, and takes one when it can', async () => {
  const stage = await open();
  stage.fake.faults.noSockets = true;
  const page = await stage.page(await stage.site());
  await openChat(page);
  await write(page, 'by post');
  const visitor = await theVisitor(stage);
  await until(() => received(visitor).length === 1, 20_000);
  await answer(stage, visitor, 'by poll');
  await page.getByText('by poll').waitFor();
  await until(() => visitor.read === 2);
  // Answers of a poll may be lost too; the same message must not arrive twice.
  stage.fake.faults.loseAnswer = /^POST .*messages/;
  await write(page, 'answer lost');
  await until(() => received(visitor).length === 2);
  stage.fake.faults.loseAnswer = undefined;
  stage.fake.faults.noSockets = false;
  await until(() => visitor.sockets.size === 1, 40_000);
  await until(async () => (await page.getByText('Sending…').count()) === 0);
  expect(received(visitor)).toEqual(['by post', 'answer lost']);
  expect(await shown(page)).toEqual(['Hello! How can we help?', 'by post', 'by poll', 'answer lost']);
});

it('is one visitor in several tabs', async () => {
  const stage = await open();
  const site = await stage.site();
  const context = await stage.context();
  const one = await context.newPage();
  const two = await context.newPage();
  await one.goto(site);
  await two.goto(site);
  await openChat(one);
  await write(one, 'from one');
  await openChat(two);
  await two.getByText('from one').waitFor();
  const visitor = await theVisitor(stage);
  stage.fake.dropSockets();
  await write(two, 'from two');
  await write(one, 'again one');
  await until(async () => received(visitor).length === 3);
  await answer(stage, visitor, 'to both');
  for (const page of [one, two]) {
    await page.getByText('to both').waitFor();
    await until(async () => new Set(await shown(page)).size === 5 && (await shown(page)).length === 5);
  }
  expect(stage.fake.world.visitors.size).toBe(1);
});

it('works for the length of a visit when the browser blocks storage', async () => {
  const stage = await open();
  const context = await stage.context();
  await context.addInitScript(() => {
    for (const name of ['localStorage', 'sessionStorage']) {
      Object.defineProperty(window, name, { get: () => { throw new DOMException('blocked', 'SecurityError'); } });
    }
  });
  const page = await context.newPage();
  await page.goto(await stage.site());
  await openChat(page);
  await write(page, 'hello');
  await page.getByText('· Sent').waitFor();
  const visitor = await theVisitor(stage);
  stage.fake.dropSockets();
  await answer(stage, visitor, 'hi');
  await page.getByText('hi', { exact: true }).waitFor();
  expect(received(visitor)).toEqual(['hello']);
});
