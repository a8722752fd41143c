"""Search attributes as Temporal sets them, from the JSON values that an activity computed."""

from typing import Any

from temporalio.common import SearchAttributeKey

from policy import search_attributes


def update_of(name: str, value: Any) -> Any:
    """The change of one search attribute. None unsets it, and so does what is of another type: not computed by us."""
    match search_attributes.TYPES[name]:
        case "KeywordList":
            lists = SearchAttributeKey.for_keyword_list(name)
            return lists.value_set(value) if value and isinstance(value, list) else lists.value_unset()
        case "Datetime":
            instants = SearchAttributeKey.for_datetime(name)
            instant = search_attributes.instant(value)
            return instants.value_set(instant) if instant else instants.value_unset()
        case _:
            words = SearchAttributeKey.for_keyword(name)
            return words.value_set(value) if value and isinstance(value, str) else words.value_unset()
