// `data` of OrderCancelled 1.0. Written by `sluice mapper typegen`: do not edit.

import {
  Text,
  eventBegin,
  eventEnd,
  putBool,
  putInteger,
  putText,
  putWord,
} from "sdk-as";

/** The canonical type. */
export const EVENT_TYPE: string = "OrderCancelled";
/** Its version. */
export const SCHEMA_VERSION: string = "1.0";

/** An integer that is absent. */
export const ABSENT: i64 = i64.MIN_VALUE;

/** A truth value that may be absent. */
export enum Flag {
  Absent,
  False,
  True,
}

export enum PaymentStatus {
  Absent,
  Pending,
  Authorized,
  PartiallyPaid,
  Paid,
  PartiallyRefunded,
  Refunded,
  Voided,
  Failed,
}

function paymentStatusWord(value: PaymentStatus): string {
  switch (value) {
    case PaymentStatus.Pending:
      return "pending";
    case PaymentStatus.Authorized:
      return "authorized";
    case PaymentStatus.PartiallyPaid:
      return "partiallyPaid";
    case PaymentStatus.Paid:
      return "paid";
    case PaymentStatus.PartiallyRefunded:
      return "partiallyRefunded";
    case PaymentStatus.Refunded:
      return "refunded";
    case PaymentStatus.Voided:
      return "voided";
    case PaymentStatus.Failed:
      return "failed";
    default:
      return "";
  }
}

export enum Reason {
  Absent,
  Customer,
  Fraud,
  Inventory,
  Payment,
  Staff,
  Other,
}

function reasonWord(value: Reason): string {
  switch (value) {
    case Reason.Customer:
      return "customer";
    case Reason.Fraud:
      return "fraud";
    case Reason.Inventory:
      return "inventory";
    case Reason.Payment:
      return "payment";
    case Reason.Staff:
      return "staff";
    case Reason.Other:
      return "other";
    default:
      return "";
  }
}

/** An order that is not to be carried out any more, as of the event's occurredAt; the entity is
 * orderId. Nothing else of the order changes. The order need not have been seen before. */
export class OrderCancelled {
  /** What people call it, e.g. #1001. */
  orderName: Text | null = null;
  /** Why, in every vendor's terms. */
  reason: Reason = Reason.Absent;
  /** Why, in the vendor's words. */
  reasonText: Text | null = null;
  /** How far the money is. */
  paymentStatus: PaymentStatus = PaymentStatus.Absent;
  /** Of refundedMinor, by its alphabetic code of ISO 4217. */
  currency: Text | null = null;
  /** What was paid back so far, in minor units of currency; within 2^53 - 1. */
  refundedMinor: i64 = ABSENT;
  /** Whether the goods were put back into stock; absent when the vendor does not say. */
  restocked: Flag = Flag.Absent;

  constructor(
    /** The vendor's id of the order. */
    public orderId: Text,
  ) {}

  /** Writes it as an event. */
  event(occurredAt: Text): void {
    eventBegin(EVENT_TYPE, SCHEMA_VERSION, occurredAt);
    putText("orderId", this.orderId);
    const orderName_ = this.orderName;
    if (orderName_) putText("orderName", orderName_);
    if (this.reason != Reason.Absent) putWord("reason", reasonWord(this.reason));
    const reasonText_ = this.reasonText;
    if (reasonText_) putText("reasonText", reasonText_);
    if (this.paymentStatus != PaymentStatus.Absent) putWord("paymentStatus", paymentStatusWord(this.paymentStatus));
    const currency_ = this.currency;
    if (currency_) putText("currency", currency_);
    if (this.refundedMinor != ABSENT) putInteger("refundedMinor", this.refundedMinor);
    if (this.restocked != Flag.Absent) putBool("restocked", this.restocked == Flag.True);
    eventEnd();
  }
}
