"""What a connection needs so that payloads are encrypted: the data converter of a client and of its workers."""

from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes

from activities.encryption.codec import EncryptingCodec
from activities.encryption.keys import Keys
from workflows.converter import DATA_CONVERTER, RoleConverter


def data_converter(keys: Keys | None) -> DataConverter:
    """The data converter of a process with these keys: the plain one, where it has none.

    Messages and stack traces of failures are encrypted, too.
    """
    if keys is None:
        return DATA_CONVERTER
    return DataConverter(
        payload_converter_class=RoleConverter,
        payload_codec=EncryptingCodec(keys),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
