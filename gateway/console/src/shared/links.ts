// Finds web addresses in plain text. The caller builds elements from the pieces, so text never becomes markup.

export interface TextPiece {
  text: string;
  href?: string;
}

// Stops at spaces, quotes, angle brackets and CJK punctuation; only http and https ever become links.
const ADDRESS = /https?:\/\/[^\s<>"'`，。；：！？、（）【】《》「」]+/gi;

/** The text cut into plain pieces and links, in order; joined again it is the same text. */
export function splitLinks(text: string): TextPiece[] {
  const pieces: TextPiece[] = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = trimAddress(match[0]);
    let href: string;
    try {
      href = new URL(address).href;
    } catch {
      continue;
    }
    if (match.index > end) pieces.push({ text: text.slice(end, match.index) });
    pieces.push({ text: address, href });
    end = match.index + address.length;
  }
  if (end < text.length) pieces.push({ text: text.slice(end) });
  return pieces;
}

/** A sentence's full stop or closing bracket after an address is not part of it, unless the bracket was opened inside. */
function trimAddress(address: string): string {
  let kept = address;
  for (;;) {
    const last = kept.slice(-1);
    const unmatched = last === ')' && !kept.includes('(');
    if (!unmatched && !'.,;:!?]}*_'.includes(last)) return kept;
    kept = kept.slice(0, -1);
  }
}
