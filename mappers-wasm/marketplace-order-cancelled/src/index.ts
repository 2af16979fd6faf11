// `marketplace-demo` `order.cancelled` → `OrderCancelled` 1.0, in AssemblyScript.
//
// The marketplace writes order ids as integers beyond 2^53, amounts as decimal text, and who cancelled as a word. What was paid back
// is in minor units of its currency, exactly. It happened at `cancelledAt`. A word that the marketplace does not document, and what was
// paid back in a currency outside ISO 4217, are left out with a note.

import {
  Json,
  Kind,
  Text,
  currencyExponent,
  localMinor,
  note,
  parse,
  refusal,
  refuse,
  run,
  utc,
} from "sdk-as";
import { ABSENT, Flag, OrderCancelled, Reason } from "./canonical";

export { cabi_realloc } from "sdk-as";

export function map(meta: usize, metaLen: i32, payload: usize, payloadLen: i32): usize {
  return run(meta, metaLen, payload, payloadLen, cancelled);
}

function cancelled(meta: Json, payload: Text): bool {
  const version = meta.get("schemaVersion");
  if (!version || !version.text.is("1")) {
    return refuse(null, "", "schema_version_unsupported", "this mapper reads payload schema version 1");
  }
  const message = parse(payload);
  if (!message) return false;
  const order = message.need("order", Kind.Object);
  if (!order) return false;
  const id = order.id("id");
  if (!id) return false;
  const number = order.known("number");
  const at = utc(message, "cancelledAt");
  if (!at) return false;
  const by = message.need("cancelledBy", Kind.String);
  if (!by) return false;
  const reason = reasonOf(by);
  if (reason == Reason.Absent) note(by, "", "reason_unknown", "is no one that the marketplace documents", by.text);
  const comment = message.known("comment");
  if (refusal != null) return false;

  let currency: Text | null = null;
  let amount = ABSENT;
  const refund = message.get("refund");
  if (refund) {
    currency = refund.id("currency");
    if (!currency) return false;
    const exponent = currencyExponent(currency);
    if (exponent < 0) {
      // What was paid back is optional, and the cancellation is not in doubt.
      note(refund, "currency", "currency_unknown", "is not a currency code of ISO 4217", currency);
      currency = null;
    } else {
      amount = localMinor(meta, refund, "amount", exponent);
      if (amount == i64.MIN_VALUE) return false;
      if (amount < 0) return refuse(refund, "amount", "refund_negative", "what is paid back is not less than nothing");
    }
  }
  const restocked = message.get("restocked");
  if (restocked && restocked.kind != Kind.Bool) {
    return refuse(restocked, "", "payload_invalid", "is neither true nor false");
  }

  const data = new OrderCancelled(id);
  data.orderName = number;
  data.reason = reason;
  data.reasonText = comment;
  data.currency = currency;
  data.refundedMinor = amount;
  if (restocked) data.restocked = restocked.text.is("true") ? Flag.True : Flag.False;
  data.event(at);
  return true;
}

/** The canonical reason, absent when there is none. */
function reasonOf(by: Json): Reason {
  if (by.text.is("BUYER")) return Reason.Customer;
  if (by.text.is("SELLER")) return Reason.Staff;
  if (by.text.is("OUT_OF_STOCK")) return Reason.Inventory;
  if (by.text.is("PAYMENT_FAILED")) return Reason.Payment;
  if (by.text.is("FRAUD_CHECK")) return Reason.Fraud;
  if (by.text.is("OTHER")) return Reason.Other;
  return Reason.Absent;
}
