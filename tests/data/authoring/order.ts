// An order with something of every kind that the generated types have.
import { Json, Text, parse, run, utc } from "sdk-as";
import { Customer, Flag, Line, OrderUpdated, PaymentStatus } from "./canonical";

export { cabi_realloc } from "sdk-as";

export function map(meta: usize, metaLen: i32, payload: usize, payloadLen: i32): usize {
  return run(meta, metaLen, payload, payloadLen, updated);
}

function updated(meta: Json, payload: Text): bool {
  const message = parse(payload);
  if (!message) return false;
  const id = message.id("größe 🫖");
  const at = utc(meta, "occurredAt");
  if (!id || !at) return false;
  const first = new Line(Text.of("1"), 2, 0, 0, 10, false, false);
  first.unitPriceMinor = -5;
  const second = new Line(Text.of("2"), 1, 0, 0, 7, false, true);
  second.subtotalMinor = 7;
  const customer = new Customer();
  customer.email = Text.of("a@b.test");
  const data = new OrderUpdated(id);
  data.orderNameIsNull = true;
  data.currency = Text.of("EUR");
  data.test = Flag.False;
  data.customer = customer;
  data.billingAddressIsNull = true;
  data.lines = [first, second];
  data.discountCodes = [];
  data.paymentStatus = PaymentStatus.PartiallyPaid;
  data.statusIsNull = true;
  data.event(at);
  return true;
}
