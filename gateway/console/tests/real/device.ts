// A device: MQTT 3.1.1 over one connection, as much of it as a small one speaks. Not the library that the gateway is made with.
import { connect, type Socket } from 'node:net';

const KEEP_ALIVE_S = 60;
const PATIENCE_MS = 30_000;

export interface Heard {
  topic: string;
  body: Record<string, unknown>;
}

export class Device {
  private buffer = Buffer.alloc(0);
  private packetId = 0;
  private readonly heard: Heard[] = [];
  private readonly acks = new Set<string>();
  private wake: () => void = () => undefined;

  private constructor(private readonly socket: Socket) {
    socket.on('data', (bytes) => {
      this.buffer = Buffer.concat([this.buffer, bytes as Buffer]);
      while (this.packet());
      this.wake();
    });
  }

  /** Connects and says who it is. */
  static async open(port: number, name: string, password: string): Promise<Device> {
    const device = new Device(connect(port, '127.0.0.1'));
    // User name, password, clean session.
    device.write(0x10, text('MQTT'), Buffer.from([4, 0xc2, 0, KEEP_ALIVE_S]), text(name), text(name), text(password));
    await device.until(() => device.acks.delete('connected'), 'to be let in');
    return device;
  }

  async subscribe(topic: string): Promise<void> {
    const id = this.nextId();
    this.write(0x82, id, text(topic), Buffer.from([1]));
    await this.until(() => this.acks.delete(`9 ${id.readUInt16BE()}`), `to hear ${topic}`);
  }

  /** With QoS 1: returns once it is acknowledged. */
  async publish(topic: string, body: object): Promise<void> {
    const id = this.nextId();
    this.write(0x32, text(topic), id, Buffer.from(JSON.stringify(body)));
    await this.until(() => this.acks.delete(`4 ${id.readUInt16BE()}`), `the acknowledgement of ${topic}`);
  }

  /** The next thing said to it. */
  async next(): Promise<Heard> {
    await this.until(() => this.heard.length > 0, 'something said to the device');
    return this.heard.shift()!;
  }

  close(): void {
    this.write(0xe0);
    this.socket.end();
  }

  private async until(is: () => boolean, what: string): Promise<void> {
    const end = Date.now() + PATIENCE_MS;
    while (!is()) {
      if (Date.now() > end) throw new Error(`the device waited in vain for ${what}`);
      await new Promise<void>((done) => {
        this.wake = done;
        setTimeout(done, 1_000);
      });
    }
  }

  /** Takes one packet from what has arrived; false if there is no whole one. */
  private packet(): boolean {
    let length = 0;
    let head = 1;
    for (; ; head++) {
      const byte = this.buffer[head];
      if (byte === undefined) return false;
      length |= (byte & 0x7f) << (7 * (head - 1));
      if (byte < 0x80) break;
    }
    const end = head + 1 + length;
    if (this.buffer.length < end) return false;
    const type = this.buffer[0]!;
    const body = this.buffer.subarray(head + 1, end);
    this.buffer = this.buffer.subarray(end);
    if (type >> 4 === 2 && body[1] === 0) this.acks.add('connected');
    else if (type >> 4 === 3) this.take(type, body);
    else if (type >> 4 === 4 || type >> 4 === 9) this.acks.add(`${type >> 4} ${body.readUInt16BE()}`);
    return true;
  }

  private take(type: number, body: Buffer): void {
    let at = 2 + body.readUInt16BE();
    const topic = body.subarray(2, at).toString();
    if (type & 0x06) {
      this.write(0x40, body.subarray(at, at + 2));
      at += 2;
    }
    this.heard.push({ topic, body: JSON.parse(body.subarray(at).toString()) as Heard['body'] });
  }

  private nextId(): Buffer {
    const id = Buffer.alloc(2);
    id.writeUInt16BE((this.packetId += 1));
    return id;
  }

  private write(type: number, ...parts: Buffer[]): void {
    const body = Buffer.concat(parts);
    const head = [type];
    let rest = body.length;
    do {
      head.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
      rest >>= 7;
    } while (rest > 0);
    this.socket.write(Buffer.concat([Buffer.from(head), body]));
  }
}

function text(words: string): Buffer {
  const bytes = Buffer.from(words);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
