"""Lines of a streamed body (NDJSON, JSON lines): a pure splitter with a bound on the length of a line."""

MAX_LINE_BYTES = 1 << 20


class OversizedLine(ValueError):
    """The peer sent a line longer than the limit; the splitter is of no further use."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"a line is longer than {limit} bytes")
        self.limit = limit


class LineSplitter:
    """Cuts a body into its non-empty lines, wherever the network cut it. Lines end in LF or CRLF."""

    __slots__ = ("_limit", "_oversized", "_partial", "_partial_size")

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._partial: list[bytes] = []
        self._partial_size = 0
        self._oversized = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends.

        Raises OversizedLine; lines that were complete before it are delivered first, so the error
        may come one call (`feed` or `close`) later.
        """
        if self._oversized:
            raise OversizedLine(self._limit)
        first, *others = data.split(b"\n")
        self._partial.append(first)
        self._partial_size += len(first)
        lines: list[bytes] = []
        for following in others:
            if not self._end_line(lines):
                break
            self._partial.append(following)
            self._partial_size = len(following)
        if self._partial_size > self._limit:
            self._oversized = True
            self._partial.clear()
        if self._oversized and not lines:
            raise OversizedLine(self._limit)
        return lines

    def close(self) -> bytes | None:
        """Call at the end of the body: the last line if it lacks its line end, else None.

        JSON tells by itself whether it is whole, so here the residue is given back.
        """
        if self._oversized:
            raise OversizedLine(self._limit)
        residue = b"".join(self._partial).removesuffix(b"\r")
        self._partial.clear()
        self._partial_size = 0
        return residue or None

    def _end_line(self, lines: list[bytes]) -> bool:
        if self._partial_size > self._limit:
            return False
        line = b"".join(self._partial).removesuffix(b"\r")
        self._partial.clear()
        self._partial_size = 0
        if line:
            lines.append(line)
        return True
