"""What became of a WhatsApp message at the customer: kept on its row, shown in the console.

Receipts come in any order and several times. One that fails is replaced by an SMS, once.
"""

from collections.abc import Iterable

from django.db import transaction

from tracking.messages.models import CustomerMessage
from tracking.messages.triggers import log, write_sms_instead
from tracking.messages.whatsapp import Receipt as Reported

Receipt, State = CustomerMessage.Receipt, CustomerMessage.State

# The receipts that each one follows; any other order is an old one that came late.
FOLLOWS = {
    Receipt.SENT: [""],
    Receipt.DELIVERED: ["", Receipt.SENT],
    Receipt.READ: ["", Receipt.SENT, Receipt.DELIVERED],
    Receipt.FAILED: ["", Receipt.SENT],
}


def take(reported: Iterable[Reported]) -> None:
    """Keep what is new. Words that are new to us are ignored."""
    for one in reported:
        kind = one.status.upper()
        if kind in Receipt.values:
            _take(one, Receipt(kind))


@transaction.atomic
def _take(reported: Reported, kind: CustomerMessage.Receipt) -> None:
    rows = CustomerMessage.objects.filter(
        pk=reported.message_id,
        channel=CustomerMessage.Channel.WHATSAPP,
        receipt__in=FOLLOWS[kind],
    )
    changes = {"receipt": kind, "receipt_at": reported.at}
    if kind != Receipt.FAILED:
        taken = rows.update(**changes)
    else:
        # The worker that sent it may not have written so yet: it must not write SENT after this.
        taken = rows.revoke(state=State.GIVEN_UP, problem=reported.problem, **changes)
        if taken:
            write_sms_instead(CustomerMessage.objects.get(pk=reported.message_id))
    if taken:
        log.info("message_receipt", message_id=str(reported.message_id), receipt=kind)
