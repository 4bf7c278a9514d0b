// What is known of tickets, and the one that is open with its device and its history, kept fresh by live events.
import { computed, signal } from '@preact/signals';
import type { TicketFilters, TicketOrder } from '../api/calls';
import type { Delivery, DeviceState, Entry, Ticket, TicketView } from '../api/types';
import { chime } from './alerts';
import type { Desk } from './desk';
import { deliverEntry, earlier, mergeEntries, missing } from './history';
import { explain, Lists } from './paged';
import { inTicketView, isQueued, TICKET_VIEWS, visibleTickets } from './work';

/** Lines of a history loaded at once. */
const PAGE = 100;

export interface Opened {
  id: string;
  device: DeviceState | null;
  entries: Entry[];
  /** The first page is on its way. */
  loading: boolean;
}

export class Tickets {
  readonly lists: Lists<Ticket, TicketView, TicketFilters>;
  readonly opened = signal<Opened | undefined>(undefined);
  readonly waiting = computed(() => [...this.lists.known.value.values()].filter(isQueued).length);
  private refreshing = false;
  private again = false;

  constructor(private readonly desk: Desk) {
    const nothing = { items: [], next: null };
    this.lists = new Lists(TICKET_VIEWS, async (view, filters, cursor) =>
      view === 'mine' && !desk.me.value.id ? nothing : desk.calls.tickets(view, filters, cursor),
    );
  }

  visible(view: TicketView): Ticket[] {
    return visibleTickets(this.lists.known.value, view, this.lists.views.value[view], this.desk.me.value.id);
  }

  /** Everything from the start: after sign-in, and when too much was missed. */
  reload(): void {
    this.lists.reload();
    const opened = this.opened.value;
    if (!opened) return;
    this.opened.value = undefined;
    void this.open(opened.id);
  }

  async open(id: string): Promise<void> {
    if (this.opened.value?.id === id) return;
    this.opened.value = { id, device: null, entries: [], loading: true };
    await this.refresh();
  }

  close(): void {
    this.opened.value = undefined;
  }

  /** Brings the open ticket, its device and the end of its history up to date. One at a time: a fault that flaps asks often. */
  async refresh(): Promise<void> {
    this.again = true;
    if (this.refreshing) return;
    this.refreshing = true;
    while (this.again && this.opened.value) {
      this.again = false;
      const { id } = this.opened.value;
      try {
        await this.look(id);
      } catch (error) {
        if (this.opened.value?.id !== id) continue;
        // Forgotten, so that opening it again tries again.
        if (this.opened.value.loading) this.opened.value = undefined;
        this.desk.say(explain(error), true);
      }
    }
    this.refreshing = false;
  }

  async older(): Promise<void> {
    const opened = this.opened.value;
    const page = opened && earlier(opened.entries, PAGE);
    if (!page) return;
    try {
      const { items } = await this.desk.calls.ticketHistory(opened.id, page.after, page.limit);
      this.change(opened.id, (now) => ({ entries: mergeEntries(now.entries, items) }));
    } catch (error) {
      this.desk.say(explain(error), true);
    }
  }

  /** A live event. */
  receive(ticket: Ticket): void {
    const before = this.lists.known.value.get(ticket.id);
    this.lists.keep([ticket]);
    const me = this.desk.me.value.id;
    if (inTicketView(ticket, 'mine', me) && before?.agent?.id !== me) chime();
    const open = this.lists.known.value.get(this.opened.value?.id ?? '');
    if (open && open.channel.id === ticket.channel.id && open.device === ticket.device) void this.refresh();
  }

  deliver(messageId: string, delivery: Delivery): void {
    const opened = this.opened.value;
    if (opened) this.change(opened.id, (now) => ({ entries: deliverEntry(now.entries, messageId, delivery) }));
  }

  /** A guarded change of a ticket. */
  order(id: string, order: TicketOrder, body: object = {}): Promise<boolean> {
    return this.desk.command(`/tickets/${id}/${order}`, body);
  }

  private async look(id: string): Promise<void> {
    const { last_state: device, ...ticket } = await this.desk.calls.ticketDetail(id);
    this.lists.keep([ticket]);
    const { after, anew } = missing(this.opened.value?.entries ?? [], ticket, PAGE);
    const items = after < ticket.last_pos ? (await this.desk.calls.ticketHistory(id, after, PAGE)).items : [];
    this.change(id, (now) => ({ device, loading: false, entries: mergeEntries(anew ? [] : now.entries, items) }));
  }

  /** Of the ticket that is still open; what comes late for another one is not wanted any more. */
  private change(id: string, fields: (now: Opened) => Partial<Opened>): void {
    const now = this.opened.value;
    if (now?.id === id) this.opened.value = { ...now, ...fields(now) };
  }
}
