// The console under trouble: lost answers, busy servers, lost live events, reloads. And the pages of supervisors and admins.
import { describe, expect, it, onTestFinished } from 'vitest';
import { inbound, openStory, shop, signIn, story, words } from './desk';
import { until, useBrowser, type Stage } from './harness';

useBrowser();

async function open(): Promise<Stage> {
  const stage = await shop();
  onTestFinished(() => stage.close());
  return stage;
}

describe('sending', () => {
  it('delivers once when the answer to a reply is lost', async () => {
    const stage = await open();
    const page = await signIn(stage);
    const hannah = story(stage, 'Hannah Weiss');
    await openStory(page, 'Hannah Weiss');
    stage.fake.faults.loseAnswer = /reply$/;
    await page.keyboard.press('r');
    await page.keyboard.type('only once');
    await page.keyboard.press('Enter');
    await until(() => stage.fake.calls.filter((call) => call.endsWith('/reply')).length >= 2);
    stage.fake.faults.loseAnswer = undefined;
    await until(async () => (await page.locator('.message.pending').count()) === 0);
    expect(words(hannah).filter((text) => text === 'only once').length).toBe(1);
    expect(await page.locator('.message.out', { hasText: 'only once' }).count()).toBe(1);
    await until(() => page.evaluate(() => !Object.keys(localStorage).some((key) => key.startsWith('patchbay.sends'))));
  });

  it('keeps replies over 503 and a reload, in order, and sends each once', async () => {
    const stage = await open();
    const page = await signIn(stage);
    const hannah = story(stage, 'Hannah Weiss');
    await openStory(page, 'Hannah Weiss');
    stage.fake.faults.unavailable = /reply$/;
    await page.keyboard.press('r');
    for (const text of ['first', 'second']) {
      await page.keyboard.type(text);
      await page.keyboard.press('Enter');
    }
    await page.getByText('Waiting for the connection').first().waitFor();
    await page.reload();
    await page.locator('.message.pending', { hasText: 'second' }).waitFor();
    stage.fake.faults.unavailable = undefined;
    await until(() => words(hannah).includes('second'));
    expect(words(hannah).slice(-2)).toEqual(['first', 'second']);
    await until(async () => (await page.locator('.message.pending').count()) === 0);
  });

  it('shows a refusal with its reason, and what a 202 turns into', async () => {
    const stage = await open();
    const page = await signIn(stage);
    await openStory(page, 'Hannah Weiss');
    stage.fake.api.slowCommands = true;
    await page.keyboard.press('r');
    await page.keyboard.type('slowly');
    await page.keyboard.press('Enter');
    await page.locator('.message.pending', { hasText: 'slowly' }).waitFor();
    await page.locator('.message.out:not(.pending)', { hasText: 'slowly' }).waitFor();
    await until(async () => (await page.locator('.message.pending').count()) === 0);
    // Closed by somebody else a moment ago: the guarded transition is refused, and the sentence is the server's.
    const hannah = story(stage, 'Hannah Weiss');
    hannah.state = 'resolved';
    await page.getByRole('button', { name: 'Resolve' }).click();
    await page.getByRole('status').getByText('already resolved').waitFor();
  });
});

describe('live events', () => {
  it('resumes without a gap after a lost connection', async () => {
    const stage = await open();
    const page = await signIn(stage);
    const hannah = story(stage, 'Hannah Weiss');
    await openStory(page, 'Hannah Weiss');
    await until(() => stage.fake.world.consoles.size === 1);
    stage.fake.faults.noSockets = true;
    stage.fake.dropSockets();
    await page.getByText('Connection lost.').waitFor();
    for (let n = 1; n <= 5; n++) inbound(stage, hannah, `missed ${n}`);
    stage.fake.world.deliver(hannah, hannah.messages[1]!, { state: 'failed', reason: 'mailbox full', attempts: 3 });
    stage.fake.faults.noSockets = false;
    for (let n = 1; n <= 5; n++) await page.locator('.message.in', { hasText: `missed ${n}` }).waitFor();
    await page.getByText('mailbox full').waitFor();
    expect(await page.locator('.message.in').count()).toBe(7);
    expect(await page.getByText('Connection lost.').count()).toBe(0);
  });

  it('shows the whole list after a reload with a conversation open, however slowly that one is answered', async () => {
    const stage = await open();
    const page = await signIn(stage);
    await openStory(page, 'Hannah Weiss');
    const { id } = story(stage, 'Hannah Weiss');
    await page.route(`**/conversations/${id}`, async (route) => {
      const response = await route.fetch();
      await page.locator('.row', { hasText: 'Li Wei' }).waitFor();
      await route.fulfill({ response });
    });
    const late = page.waitForResponse(`**/conversations/${id}`);
    await page.reload();
    await (await late).finished();
    await page.locator('.log[aria-busy=false]').waitFor();
    await page.locator('.row', { hasText: 'Li Wei' }).waitFor();
    expect(await page.locator('.row').count()).toBe(4);
  });

  it('shows a message that arrives while the thread is being loaded', async () => {
    const stage = await open();
    const page = await signIn(stage);
    const hannah = story(stage, 'Hannah Weiss');
    await page.locator('.row', { hasText: 'Hannah' }).waitFor();
    // The page of messages is read before the new one, and arrives after it.
    await page.route('**/messages**', async (route) => {
      const response = await route.fetch();
      inbound(stage, hannah, 'in between');
      await until(() => page.locator('.row', { hasText: 'in between' }).isVisible());
      await route.fulfill({ response });
    });
    await openStory(page, 'Hannah Weiss');
    await page.locator('.message.in', { hasText: 'in between' }).waitFor();
    await page.locator('.message.in', { hasText: 'Good morning, our order' }).waitFor();
  });
});

describe('pages', () => {
  it('shows dead letters, replays and drops them', async () => {
    const stage = await open();
    const page = await signIn(stage, 'sara');
    await page.getByRole('link', { name: 'Dead letters' }).click();
    await page.getByRole('link', { name: /Here is the link to October/ }).click();
    await page.getByText('absent subscriber').waitFor();
    await page.getByRole('button', { name: 'Replay' }).click();
    await page.getByText('The message is on its way again.').waitFor();
    await until(async () => (await page.locator('tbody tr').count()) === 1);
    await page.locator('td a').click();
    await page.getByRole('button', { name: 'Drop' }).click();
    await page.getByText('Drop this message for good?').waitFor();
    await page.getByRole('button', { name: 'Drop' }).click();
    await page.getByText('There are no dead letters.').waitFor();
    expect(stage.fake.world.dead).toEqual([]);
  });

  it('pauses and resumes a channel with a reason', async () => {
    const stage = await open();
    const page = await signIn(stage, 'sara');
    await page.getByRole('link', { name: 'Channels' }).click();
    await page.getByRole('button', { name: 'Pause web' }).click();
    await page.getByRole('textbox', { name: 'Reason' }).fill('moving house');
    await page.keyboard.press('Enter');
    await page.getByText('moving house').waitFor();
    expect(stage.fake.world.channels[0]).toMatchObject({ state: 'paused', reason: 'moving house' });
    await page.getByRole('button', { name: 'Resume web' }).click();
    await until(() => stage.fake.world.channels[0]?.state === 'running');
  });

  it('lets administrators add agents, tokens and groups', async () => {
    const stage = await open();
    const page = await signIn(stage);
    await page.getByRole('link', { name: 'Team' }).click();
    await page.getByRole('button', { name: 'Add agent' }).click();
    await page.getByRole('textbox', { name: 'Name' }).fill('Ada');
    await page.getByRole('spinbutton', { name: 'Capacity' }).fill('9');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'New token Ada' }).click();
    const token = await page.locator('.secret code').textContent();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Edit Field service' }).click();
    await page.getByRole('checkbox', { name: 'Ada' }).check();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.locator('td', { hasText: 'Sara Okafor, Ada' }).waitFor();
    const ada = stage.fake.world.agents.find((agent) => agent.name === 'Ada');
    expect(ada).toMatchObject({ capacity: 9, role: 'agent' });
    expect(stage.fake.world.tokens.find((each) => each.token === token)?.agent_id).toBe(ada?.id);
  });

  it('lets an operator without an agent look and act, with nothing of their own', async () => {
    const stage = await open();
    stage.fake.world.tokens.push({ id: 'op', agent_id: '', name: 'operator', created_at: '', expires_at: null, last_used_at: null, token: 'pb_op' });
    const page = await stage.page(`${stage.fake.origin}/console/`, { locale: 'zh-CN', viewport: { width: 1440, height: 900 } });
    await page.locator('#token').fill('pb_op');
    await page.locator('#token').press('Enter');
    await page.getByRole('heading', { name: '全部', level: 1 }).waitFor();
    expect(await page.getByRole('combobox', { name: '您的状态' }).count()).toBe(0);
    expect(await page.getByRole('link', { name: '我的' }).count()).toBe(0);
    await openStory(page, 'Hannah Weiss');
    await page.keyboard.press('a');
    await page.getByRole('button', { name: /Tom Becker/ }).click();
    await page.getByText('将会话分配给 Tom Becker').waitFor();
    await page.keyboard.press('s');
    await page.getByRole('button', { name: /明天 9 点/ }).click();
    await page.locator('.details').getByText('暂缓至').waitFor();
    expect(story(stage, 'Hannah Weiss').state).toBe('snoozed');
    await page.keyboard.press('g');
    await page.keyboard.press('f');
    await page.getByRole('link', { name: '全部未完成' }).and(page.locator('[aria-current=page]')).waitFor();
    await page.locator('.row', { hasText: 'E17' }).waitFor();
    expect(await page.locator('.views').getByRole('link').count()).toBe(3);
  });

  it('offers nobody more than their role allows', async () => {
    const stage = await open();
    stage.fake.world.agents[1]!.role = 'auditor';
    const page = await signIn(stage, 'tom');
    expect(await page.getByRole('link', { name: 'Dead letters' }).count()).toBe(0);
    expect(await page.getByRole('combobox', { name: 'Your presence' }).count()).toBe(0);
    await page.keyboard.press('g');
    await page.keyboard.press('a');
    await openStory(page, 'Hannah Weiss');
    await page.getByText('You can read this, but not write here.').waitFor();
    expect(await page.getByRole('button', { name: 'Resolve' }).count()).toBe(0);
    await page.keyboard.press('e');
    for (const key of ['g', 'f', '3']) await page.keyboard.press(key);
    await page.locator('.row', { hasText: 'E17' }).click();
    await page.locator('.notice.opened').waitFor();
    await page.getByText('You can read this, but not write here.').waitFor();
    expect(await page.getByRole('button', { name: /Confirm|Take it|Cancel/ }).count()).toBe(0);
    for (const key of ['e', 'i', 'x']) await page.keyboard.press(key);
    await page.goto(`${stage.fake.origin}/console/#/dead`);
    await page.getByText('Your role does not include this page.').waitFor();
    expect(stage.fake.calls.filter((call) => /POST .*(close|read|confirm|assign|cancel)/.test(call))).toEqual([]);
  });
});
