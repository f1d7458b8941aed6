"""Sending an e-mail, with errors that contain no addresses."""

from smtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException

from django.core.mail import EmailMessage


class MailNotSent(Exception):
    """`permanent`: the mail server refuses the addresses, now and later."""

    def __init__(self, why: str, *, permanent: bool = False) -> None:
        super().__init__(why)
        self.permanent = permanent


def send(mail: EmailMessage) -> None:
    """Raises MailNotSent."""
    try:
        mail.send()
    except SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        why = f"The mail server refused the address ({codes[0] if codes else 'no code'})."
        raise MailNotSent(why, permanent=bool(codes) and min(codes) >= 500) from None
    except SMTPResponseException as error:
        raise MailNotSent(f"The mail server answered {error.smtp_code}.") from None
    except (SMTPException, OSError, ValueError) as error:
        raise MailNotSent(f"The mail was not sent: {type(error).__name__}.") from None
