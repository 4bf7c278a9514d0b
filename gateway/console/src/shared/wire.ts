// What both the widget and the console find inside messages. docs/channels/webchat.md is the contract.

/** One content part. Which fields are set depends on `type`; unknown types are shown as a notice. */
export interface Part {
  type: string;
  text?: string;
  url?: string;
  name?: string;
  mime?: string;
  size?: number;
  width?: number;
  height?: number;
  [field: string]: unknown;
}

/** What an upload answers; sent back as a part of a message. */
export interface Upload {
  url: string;
  name: string;
  mime: string;
  size: number;
  width?: number;
  height?: number;
}

const MEDIA_TYPES = ['image', 'audio', 'video'];

/** The part that shows an upload: a picture as a picture, everything unknown as a file. */
export function uploadPart(upload: Upload): Part {
  const family = upload.mime.split('/')[0] ?? '';
  return { type: MEDIA_TYPES.includes(family) ? family : 'file', ...upload };
}

/** A URL of a part, made absolute; undefined unless it is http(s), so that no `javascript:` gets into a page. */
export function safeUrl(url: string | undefined, base: string): string | undefined {
  if (!url) return undefined;
  try {
    const absolute = new URL(url, base);
    return /^https?:$/.test(absolute.protocol) ? absolute.href : undefined;
  } catch {
    return undefined;
  }
}
