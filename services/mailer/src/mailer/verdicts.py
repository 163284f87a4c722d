"""Which refusals (5xx) are about a mail or its recipient; an operator can mend all others.

The enhanced status code decides (RFC 3463, and the registry of RFC 5248). The stage alone does not
tell: at RCPT servers also report objections to the client, its name or the sender.

===================  ==========================================================  =========
enhanced code        is about                                                    verdict
===================  ==========================================================  =========
5.1.x                the recipient; at MAIL, and 5.1.7 and 5.1.8, the sender     permanent
5.2.x                the recipient's mailbox; at MAIL the sender's               permanent
5.3.4, 5.2.3, 5.6.x  the size or the content of the mail                         permanent
5.7.2, .17, .18      the recipient's list or mailbox                             permanent
any other            the server, the way there, the protocol, a policy           transient
===================  ==========================================================  =========

Refusals about the sender, or in the last row, are tried again until ``MAIL_RETRY_FOR`` is over.
Without an enhanced code the code itself decides (RFC 5321, 4.2.3; RFC 7504).
"""

import re

ENHANCED = re.compile(rb"5\.(\d{1,3})\.(\d{1,3})(?!\S)")
MAIL, RCPT, DATA = "MAIL", "RCPT", "DATA"  # DATA: the command, and the mail after it
OF_THE_MAIL = re.compile(r"2\.3|3\.4|6\.\d+")
OF_THE_RECIPIENT = re.compile(r"1\.(?!7$|8$)\d+|2\.\d+|7\.(2|17|18)")
# 550: no such mailbox; 551, 553: not here, or no name for one; 552: full; 556: takes no mail.
CODES = {MAIL: {552}, RCPT: {550, 551, 552, 553, 556}, DATA: {550, 551, 552, 553, 554, 556}}


def is_permanent(stage: str, code: int, text: bytes) -> bool:
    """Tell whether an answer means that this mail will never be taken.

    Args:
        stage: the command that was answered: MAIL, RCPT or DATA.
        code: the answer's three digits.
        text: the rest of it, which may begin with an enhanced status code.
    """
    if not 500 <= code <= 599:
        return False
    enhanced = ENHANCED.match(text.lstrip())
    if not enhanced:
        return code in CODES[stage]
    subject = b".".join(enhanced.groups()).decode()
    if OF_THE_MAIL.fullmatch(subject):
        return True
    return stage != MAIL and OF_THE_RECIPIENT.fullmatch(subject) is not None
