"""The licences that the Hugging Face Hub knows by name."""

import re

KNOWN = frozenset(
    """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigcode-openrail-m
    openrail++ afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda
    cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0
    cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
    cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0
    wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0
    lgpl lgpl-2.1 lgpl-3.0 lgpl-lr isc h-research intel-research lppl-1.3c ms-pl mpl-2.0 odc-by
    odbl osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl unknown
    """.split()
)
SPDX = {"cc0": "cc0-1.0", "bsl": "bsl-1.0", "pddl-1.0": "pddl", "odbl-1.0": "odbl"}


def hub_licence(name: str) -> dict[str, str]:
    """Return the entries for a licence in the front matter of a card.

    A licence that the Hub knows has its name there; any other is `other` with its own name. There
    is no entry if the licence is not stated.
    """
    slug = re.sub(r"[^a-z0-9.+]+", "-", name.lower()).strip("-")
    if not slug or slug == "not-stated":
        return {}
    slug = SPDX.get(slug, slug)
    return {"license": slug} if slug in KNOWN else {"license": "other", "license_name": slug}
