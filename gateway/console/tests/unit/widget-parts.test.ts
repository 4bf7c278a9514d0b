import { describe, expect, it } from 'vitest';
import { Store } from '../../src/widget/store';
import { chooseLang, fill, textFor } from '../../src/widget/strings';
import { matchesUrl, scrollPercent } from '../../src/widget/triggers';
import { contrast, readable } from '../../src/widget/ui/theme';
import { memoryStorage } from './widget-fakes';

describe('store', () => {
  it('keeps everything in memory when the browser blocks storage', () => {
    const store = new Store('p:', () => {
      throw new DOMException('blocked', 'SecurityError');
    });
    store.set('a', { n: 1 });
    store.set('out:1', 1);
    expect(store.get('a')).toEqual({ n: 1 });
    expect(store.keys('out:')).toEqual(['out:1']);
    store.remove('a');
    expect(store.get('a')).toBeUndefined();
  });

  it('keeps the newest value when the disk is full, and does not fall back to the old one', () => {
    const disk = memoryStorage();
    const store = new Store('p:', () => disk);
    store.set('a', 1);
    disk.setItem = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
    store.set('a', 2);
    expect(store.get('a')).toBe(2);
  });

  it('reads rubbish as nothing and sees only its own keys', () => {
    const disk = memoryStorage();
    disk.setItem('p:a', '{not json');
    disk.setItem('other:out:1', '1');
    const store = new Store('p:', () => disk);
    expect(store.get('a')).toBeUndefined();
    expect(store.keys('out:')).toEqual([]);
  });
});

describe('triggers', () => {
  it('matches addresses by pattern', () => {
    expect(matchesUrl('/pricing*', 'https://a.example/pricing/eu?x=1')).toBe(true);
    expect(matchesUrl('/pricing', 'https://a.example/pricing?x=1')).toBe(true);
    expect(matchesUrl('/pricing', 'https://a.example/pricing/eu')).toBe(false);
    expect(matchesUrl('*?plan=*', 'https://a.example/buy?plan=big')).toBe(true);
    expect(matchesUrl('https://b.example/*', 'https://a.example/')).toBe(false);
    expect(matchesUrl('/a.b', 'https://a.example/axb')).toBe(false);
  });

  it('counts a page without a scroll bar as read to its end', () => {
    expect(scrollPercent(0, 500, 800)).toBe(100);
    expect(scrollPercent(600, 2_000, 800)).toBe(50);
  });
});

describe('theme', () => {
  it('makes any colour readable as text', () => {
    for (const colour of [[255, 220, 0], [12, 12, 12], [120, 120, 120], [255, 255, 255]] as [number, number, number][]) {
      expect(contrast(readable(colour, [255, 255, 255]), [255, 255, 255])).toBeGreaterThanOrEqual(4.5);
      expect(contrast(readable(colour, [24, 28, 36]), [24, 28, 36])).toBeGreaterThanOrEqual(4.5);
    }
  });
});

describe('strings', () => {
  it('takes the wish of the page first', () => {
    expect(chooseLang('zh-TW')).toBe('zh');
    expect(chooseLang('de')).toBe('en');
  });

  it('uses the same blanks in both languages', () => {
    const blanks = (text: string): string => (text.match(/\{\w+\}/g) ?? []).sort().join();
    const zh = textFor('zh');
    for (const [key, text] of Object.entries(textFor('en'))) expect(`${key} ${blanks(zh[key as keyof typeof zh])}`).toBe(`${key} ${blanks(text)}`);
    expect(fill('{name}: {n} {other}', { name: 'a', n: 1 })).toBe('a: 1 {other}');
  });
});
