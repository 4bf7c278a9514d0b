// What a shop's page can ask of the widget: options, triggers, the API, files.
import { createHmac } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { IDENTITY_SECRET } from '../../fake/webchat';
import { Stage, until, useBrowser } from './harness';
import { answer, openChat, received, theVisitor, write } from './visitor';

useBrowser();

async function open(): Promise<Stage> {
  const stage = await Stage.open();
  onTestFinished(() => stage.close());
  return stage;
}

const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

describe('options', () => {
  it('takes title, side, colour, greeting and language', async () => {
    const stage = await open();
    const page = await stage.page(await stage.site('data-title="<b>Café</b>" data-position="left" data-colour="#8a1c1c" data-greeting="Salut" data-lang="zh"'));
    await openChat(page);
    await page.getByRole('dialog', { name: '<b>Café</b>' }).waitFor();
    await page.getByText('Salut').waitFor();
    expect(await page.getByRole('textbox', { name: '消息' }).isVisible()).toBe(true);
    const box = await page.locator('.launcher').boundingBox();
    expect(box!.x).toBeLessThan(100);
    expect(await page.locator('.launcher').evaluate((element) => getComputedStyle(element).backgroundColor)).toBe('rgb(138, 28, 28)');
  });

  it('opens after a time without taking the focus, and not again once closed', async () => {
    const stage = await open();
    const page = await stage.page(await stage.site('data-open-after="0.3"'));
    await page.locator('#before').focus();
    await page.getByRole('dialog').waitFor();
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('before');
    await page.locator('.close').click();
    await page.reload();
    await page.locator('.launcher').waitFor();
    await page.evaluate(() => new Promise((done) => setTimeout(done, 600)));
    expect(await page.getByRole('dialog').isVisible()).toBe(false);
  });

  it('opens at a scroll depth, on some pages, and when the pointer leaves', async () => {
    const stage = await open();
    const long = '<div style="height:4000px"></div>';
    const scrolled = await stage.page(await stage.site('data-open-scroll="50"', long));
    await scrolled.locator('.launcher').waitFor();
    expect(await scrolled.getByRole('dialog').isVisible()).toBe(false);
    await scrolled.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
    await scrolled.getByRole('dialog').waitFor();

    const byPage = await stage.page(await stage.site('data-open-url="/pricing*"'));
    await byPage.locator('.launcher').waitFor();
    expect(await byPage.getByRole('dialog').isVisible()).toBe(false);
    await byPage.evaluate(() => history.pushState({}, '', '/pricing/eu'));
    await byPage.getByRole('dialog').waitFor();

    const leaving = await stage.page(await stage.site('data-open-exit'));
    await leaving.locator('.launcher').waitFor();
    await leaving.evaluate(() => document.dispatchEvent(new MouseEvent('mouseout', { clientY: -5, relatedTarget: null })));
    await leaving.getByRole('dialog').waitFor();
  });
});

describe('window.PatchbayWidget', () => {
  it('opens, closes, reports and goes away', async () => {
    const stage = await open();
    const page = await stage.page(await stage.site());
    await page.waitForFunction(() => 'PatchbayWidget' in window);
    await page.evaluate(() => {
      const { PatchbayWidget: widget } = window as unknown as { PatchbayWidget: { on(name: string, run: (value: unknown) => void): () => void } };
      const seen: string[] = ((window as { seen?: string[] }).seen = []);
      for (const name of ['open', 'close', 'message', 'unread', 'state']) {
        widget.on(name, (value) => seen.push(`${name} ${typeof value === 'object' && value ? 'message' : String(value)}`));
      }
      widget.on('open', () => {
        throw new Error('a mistake of the page');
      });
    });
    const api = (call: string): Promise<unknown> => page.evaluate(`PatchbayWidget.${call}`);
    await api('open()');
    await write(page, 'hello');
    await page.getByText('· Sent').waitFor();
    await api('close()');
    await answer(stage, await theVisitor(stage), 'hi');
    await page.getByRole('button', { name: 'Open chat, 1 unread' }).waitFor();
    const seen = await page.evaluate(() => (window as { seen?: string[] }).seen);
    expect(seen).toEqual(expect.arrayContaining(['open undefined', 'state socket', 'message message', 'close undefined', 'unread 1']));
    await api('destroy()');
    expect(await page.locator('.launcher').count()).toBe(0);
    await until(() => [...stage.fake.world.visitors.values()][0]!.sockets.size === 0);
    expect(await page.evaluate(() => 'PatchbayWidget' in window)).toBe(false);
  });

  it('signs a visitor in, and does not mix two people on one computer', async () => {
    const stage = await open();
    const page = await stage.page(await stage.site());
    const identity = (user: string): string => {
      const expires = Math.floor(Date.now() / 1000) + 600;
      const mac = createHmac('sha256', IDENTITY_SECRET).update(`${user}\n${expires}`).digest('hex');
      return JSON.stringify({ user_id: user, expires_at: expires, mac, name: user });
    };
    await page.waitForFunction(() => 'PatchbayWidget' in window);
    await page.evaluate(`PatchbayWidget.identify(${identity('anna')})`);
    await openChat(page);
    await write(page, 'I am Anna');
    await page.getByText('· Sent').waitFor();
    await page.evaluate(`PatchbayWidget.identify(${identity('ben')})`);
    await page.getByText('I am Anna').waitFor({ state: 'detached' });
    await write(page, 'I am Ben');
    const { visitors } = stage.fake.world;
    await until(() => received(visitors.get('user:ben')!).length > 0);
    expect(received(visitors.get('user:anna')!)).toEqual(['I am Anna']);
    expect(received(visitors.get('user:ben')!)).toEqual(['I am Ben']);
    await page.evaluate(`PatchbayWidget.identify(${identity('anna')})`);
    await page.getByText('I am Anna').waitFor();
  });
});

describe('files', () => {
  it('sends pictures and files by button, paste and drop', async () => {
    const stage = await open();
    const page = await stage.page(await stage.site());
    await openChat(page);
    const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.getByRole('button', { name: 'Attach files' }).click()]);
    await chooser.setFiles([{ name: 'shelf.png', mimeType: 'image/png', buffer: PNG }, { name: 'note.txt', mimeType: 'text/plain', buffer: Buffer.from('hello') }]);
    await page.locator('.tray li').nth(1).waitFor();
    for (const [event, field] of [['paste', 'clipboardData'], ['drop', 'dataTransfer']] as const) {
      await page.getByRole('textbox').evaluate(
        (element, [name, property, bytes]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0))], `${name}.png`, { type: 'image/png' }));
          const happened = new Event(name, { bubbles: true, cancelable: true, composed: true });
          Object.defineProperty(happened, property, { value: transfer });
          element.dispatchEvent(happened);
        },
        [event, field, PNG.toString('base64')] as const,
      );
      await page.locator('.tray li', { hasText: `${event}.png` }).waitFor();
    }
    await until(async () => (await page.locator('.tray progress').count()) === 0);
    await page.getByRole('button', { name: 'Remove paste.png' }).click();
    await write(page, 'Here they are');
    await page.getByText('· Sent').waitFor();
    const visitor = await theVisitor(stage);
    expect(visitor.log[0]?.content.map((part) => `${part.type} ${part.name ?? part.text}`)).toEqual(['text Here they are', 'image shelf.png', 'file note.txt', 'image drop.png']);
    await page.getByRole('img', { name: 'shelf.png' }).waitFor();
    expect(await page.getByRole('link', { name: /note\.txt/ }).getAttribute('href')).toBe(`${stage.fake.origin}${visitor.log[0]?.content[2]?.url}`);
  });

  it('says what cannot be sent: too large, wrong type, failed upload; and waits out a busy server', async () => {
    const stage = await open();
    const page = await stage.page(await stage.site());
    await openChat(page);
    const visitor = await theVisitor(stage);
    await until(() => visitor.sockets.size === 1);
    const attach = (name: string, mimeType: string, buffer: Buffer): Promise<void> => page.locator('input[type=file]').setInputFiles({ name, mimeType, buffer });
    await attach('film.mp4', 'video/mp4', Buffer.from('x'));
    await page.getByText('Files like film.mp4 cannot be sent.').waitFor();
    await attach('big.png', 'image/png', Buffer.concat([PNG, Buffer.alloc(2_100_000)]));
    await page.getByText('big.png is larger than 2.0 MB.').waitFor();
    // Claims to be text, but the server looks at the bytes.
    await attach('odd.txt', 'text/plain', Buffer.from([1, 0, 2]));
    await page.getByText('Files like odd.txt cannot be sent.').waitFor();
    stage.fake.faults.unavailable = /uploads/;
    await attach('shelf.png', 'image/png', PNG);
    await until(() => stage.fake.calls.filter((call) => /uploads/.test(call)).length >= 2);
    stage.fake.faults.unavailable = undefined;
    await until(async () => (await page.locator('.tray progress').count()) === 0 && (await page.locator('.tray li').count()) === 1);
    await page.getByRole('button', { name: 'Send' }).click();
    await until(() => visitor.log[0]?.content[0]?.name === 'shelf.png');
  });
});
