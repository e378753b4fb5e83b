"""Reads TensorBoard's event files: TFRecords of protobuf messages, every checksum verified. Written
from the formats alone; knows only what scalars need, and refuses what it does not know.
"""
import struct


def crc_table():
    """Of CRC-32C, the reversed Castagnoli polynomial."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = crc_table()


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    """Messages of a file; one that is cut off at the end is no error, as TensorBoard has it."""
    at = 0
    while at + 12 <= len(data):
        length, length_crc = struct.unpack_from("<QI", data, at)
        assert masked_crc(data[at:at + 8]) == length_crc, f"sum of the length at byte {at}"
        end = at + 12 + length
        if end + 4 > len(data):
            return
        message = data[at + 12:end]
        assert masked_crc(message) == struct.unpack_from("<I", data, end)[0], f"sum at byte {at}"
        yield message
        at = end + 4


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(message):
    """(number, value) of a protobuf message: integers, and bytes of all else."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(message, at)
        else:
            length = {1: 8, 5: 4}.get(kind)
            if kind == 2:
                length, at = varint(message, at)
            assert length is not None and at + length <= len(message), f"field {key >> 3}"
            value, at = message[at:at + length], at + length
        yield key >> 3, value


def read_file(path):
    """[{step, wall_time, version | scalars | session}] of one event file."""
    with open(path, "rb") as file:
        data = file.read()
    events = []
    for message in records(data):
        event = dict(fields(message))
        read = {"wall_time": struct.unpack("<d", event[1])[0], "step": event.get(2, 0)}
        if 3 in event:
            read["version"] = event[3].decode()
        if 5 in event:
            read["scalars"] = {}
            for number, value in fields(event[5]):
                parts = dict(fields(value))
                assert number == 1 and set(parts) == {1, 2}, parts
                read["scalars"][parts[1].decode()] = struct.unpack("<f", parts[2])[0]
        if 7 in event:
            read["session"] = dict(fields(event[7]))[1]
        events.append(read)
    return events
