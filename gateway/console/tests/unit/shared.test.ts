import { describe, expect, it } from 'vitest';
import { backoff, retryAfter } from '../../src/shared/backoff';
import { formatBytes } from '../../src/shared/format';
import { splitLinks } from '../../src/shared/links';
import { safeUrl, uploadPart } from '../../src/shared/wire';

describe('backoff', () => {
  it('doubles, stays within its bounds and is jittered', () => {
    const range = { min: 500, max: 30_000 };
    expect(backoff(0, range, () => 1)).toBe(500);
    expect(backoff(0, range, () => 0)).toBe(250);
    expect(backoff(3, range, () => 1)).toBe(4_000);
    expect(backoff(1_000, range, () => 1)).toBe(30_000);
  });

  it('reads Retry-After in seconds only', () => {
    expect(retryAfter('7')).toBe(7_000);
    expect(retryAfter(null)).toBeUndefined();
    expect(retryAfter('Wed, 21 Oct 2026 07:28:00 GMT')).toBeUndefined();
  });
});

describe('links', () => {
  const links = (text: string): (string | undefined)[] => splitLinks(text).map((piece) => piece.href).filter(Boolean);

  it('finds http and https addresses without the punctuation around them', () => {
    expect(links('See https://a.example/x. Or (http://b.example/y)!')).toEqual(['https://a.example/x', 'http://b.example/y']);
    expect(links('https://en.wikipedia.example/wiki/A_(b)')).toEqual(['https://en.wikipedia.example/wiki/A_(b)']);
    expect(links('请看https://a.example/店。谢谢')).toEqual(['https://a.example/%E5%BA%97']);
  });

  it('never makes a link of anything else', () => {
    expect(links('javascript:alert(1) data:text/html,x ftp://a.example //b.example')).toEqual([]);
  });

  it('loses nothing of the text', () => {
    for (const text of ['', 'plain', 'a https://x.example, b http:// c', 'https://x.example\n\nhttps://y.example?q=<b>']) {
      expect(splitLinks(text).map((piece) => piece.text).join('')).toBe(text);
    }
  });
});

describe('media', () => {
  it('takes http(s) addresses only', () => {
    expect(safeUrl('/media/1', 'https://chat.example')).toBe('https://chat.example/media/1');
    expect(safeUrl('javascript:alert(1)', 'https://chat.example')).toBeUndefined();
    expect(safeUrl('data:text/html,x', 'https://chat.example')).toBeUndefined();
    expect(safeUrl(undefined, 'https://chat.example')).toBeUndefined();
  });

  it('shows pictures as pictures and unknown types as files', () => {
    expect(uploadPart({ url: '/m', name: 'a', mime: 'image/png', size: 1 }).type).toBe('image');
    expect(uploadPart({ url: '/m', name: 'a', mime: 'application/pdf', size: 1 }).type).toBe('file');
  });

  it('tells sizes as people read them', () => {
    expect([999, 1_500, 12_345, 2_000_000].map(formatBytes)).toEqual(['999 B', '1.5 kB', '12 kB', '2.0 MB']);
  });
});
