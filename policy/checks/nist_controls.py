"""The controls of NIST SP 800-53 Rev. 5 that a policy can name: OSCAL id and title.

The source is NIST's OSCAL catalog of SP 800-53 Rev. 5, a work of the United States government and in the public domain
(usnistgov/oscal-content). Here are those that approval, audit and change control speak of; a policy may name any
other framework's control as free text.
"""

import re

CONTROLS = {
    "ac-3": "Access Enforcement",
    "ac-5": "Separation of Duties",
    "ac-6": "Least Privilege",
    "ac-6.9": "Log Use of Privileged Functions",
    "ac-6.10": "Prohibit Non-privileged Users from Executing Privileged Functions",
    "au-2": "Event Logging",
    "au-3": "Content of Audit Records",
    "au-6": "Audit Record Review, Analysis, and Reporting",
    "au-9": "Protection of Audit Information",
    "au-9.2": "Store on Separate Physical Systems or Components",
    "au-9.3": "Cryptographic Protection",
    "au-9.4": "Access by Subset of Privileged Users",
    "au-10": "Non-repudiation",
    "au-12": "Audit Record Generation",
    "cm-3": "Configuration Change Control",
    "cm-3.1": "Automated Documentation, Notification, and Prohibition of Changes",
    "cm-3.2": "Testing, Validation, and Documentation of Changes",
    "cm-3.4": "Security and Privacy Representatives",
    "cm-3.6": "Cryptography Management",
    "cm-4": "Impact Analyses",
    "cm-4.1": "Separate Test Environments",
    "cm-4.2": "Verification of Controls",
    "cm-5": "Access Restrictions for Change",
    "cm-5.1": "Automated Access Enforcement and Audit Records",
    "cm-6": "Configuration Settings",
    "ia-2.1": "Multi-factor Authentication to Privileged Accounts",
    "ia-2.2": "Multi-factor Authentication to Non-privileged Accounts",
    "ia-2.8": "Access to Accounts — Replay Resistant",
    "ia-11": "Re-authentication",
    "ir-4": "Incident Handling",
    "ir-4.1": "Automated Incident Handling Processes",
    "si-4": "System Monitoring",
    "si-7": "Software, Firmware, and Information Integrity",
    "ra-3": "Risk Assessment",
    "cp-10": "System Recovery and Reconstitution",
}
_OSCAL_ID = re.compile(r"[a-z]{2}-[0-9]{1,2}(\.[0-9]{1,2})?")
_PRINTED_ID = re.compile(r"([A-Za-z]{2})-0*([0-9]{1,2})(?: ?\(0*([0-9]{1,2})\))?")


def looks_like_nist(name: str) -> bool:
    """Whether a control is written as those of NIST are, in OSCAL or in print (`AC-6(9)`)."""
    return bool(_OSCAL_ID.fullmatch(name) or _PRINTED_ID.fullmatch(name))


def oscal_id(name: str) -> str:
    """The OSCAL id of a control as NIST prints it: `ac-6.9` for `AC-6(9)`; anything else as it is."""
    found = _PRINTED_ID.fullmatch(name)
    if found is None:
        return name
    return f"{found[1].lower()}-{found[2]}" + (f".{found[3]}" if found[3] else "")
