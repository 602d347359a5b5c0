"""What one split may use: phrases by voice, tracks by artist, sounds, each in its turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from audioseg.corpus.sound import CorpusError
from vggish.frontend import SAMPLE_RATE

LONGEST_PHRASE_SECONDS = 20.0
SHORTEST_TRACK_SECONDS = 35.0


# for each path of speech: first sample, end and level in dB of full scale, as find_phrases has them
Phrases = Mapping[str, Sequence[tuple[int, int, float]]]


def tracks_of(sources: Sequence[Mapping]) -> list[Mapping]:
    """Return the music that is long enough to be heard beneath a voice."""
    return [
        source
        for source in sources
        if source["kind"] == "music" and source["seconds"] >= SHORTEST_TRACK_SECONDS
    ]


class Deck:
    """Draws every card once before any comes again."""

    def __init__(self, cards: Sequence, rng: np.random.Generator):
        self._cards, self._rng, self._left = cards, rng, []

    def draw(self):
        """Return the next card."""
        if not self._left:
            self._left = [self._cards[i] for i in self._rng.permutation(len(self._cards))]
        return self._left.pop()


class Material:
    """What one split may use: phrases by voice, tracks by artist, sounds."""

    def __init__(
        self,
        sources: Sequence[Mapping],
        phrases: Phrases,
        rng: np.random.Generator,
    ):
        self.rng = rng
        speech: dict[str, list] = {}
        music: dict[str, list] = {}
        self.group_of = {source["path"]: source["group"] for source in sources}
        noise = [source["path"] for source in sources if source["kind"] == "noise"]
        for source in sources:
            path, group = source["path"], source["group"]
            if source["kind"] == "speech":
                speech.setdefault(group, []).extend(
                    (path, *phrase)
                    for phrase in phrases[path]
                    if phrase[1] - phrase[0] <= LONGEST_PHRASE_SECONDS * SAMPLE_RATE
                )
        for track in tracks_of(sources):
            music.setdefault(track["group"], []).append((track["path"], track["seconds"]))
        speech = {voice: cards for voice, cards in speech.items() if cards}
        if not (speech and music and noise):
            raise CorpusError(
                "each split needs speech, music of at least "
                f"{SHORTEST_TRACK_SECONDS:g} s and noise: add sources to the table of sources."
            )
        self.voices = {voice: Deck(cards, rng) for voice, cards in sorted(speech.items())}
        # songs have decks of their own: within a split, a phrase may be both spoken and sung
        self.songs = {
            voice: Deck([card for card in cards if card[2] - card[1] > SAMPLE_RATE] or cards, rng)
            for voice, cards in sorted(speech.items())
        }
        self.artists = {artist: Deck(cards, rng) for artist, cards in sorted(music.items())}
        self.sounds = Deck(noise, rng)
        # the power 3/4: rare voices are heard more often than their minutes alone would give
        self.turns = {
            group: round(amount**-0.75, 9)
            for group, amount in (
                *((v, sum(end - start for _, start, end, _ in speech[v])) for v in self.voices),
                *((a, sum(seconds for _, seconds in music[a])) for a in self.artists),
            )
        }
        self.heard = dict.fromkeys(self.turns, 0.0)

    def draw_voice(self) -> str:
        """Return the voice whose turn it is."""
        return min(self.voices, key=self._turn)

    def draw_track(self) -> str:
        """Return a track of the artist whose turn it is."""
        artist = min(self.artists, key=self._turn)
        self.hear(artist, 1)
        return self.artists[artist].draw()[0]

    def draw_sounds(self) -> list[str]:
        """Return one to three sounds."""
        return [self.sounds.draw() for _ in range(1 + int(self.rng.integers(3)))]

    def hear(self, group: str, amount: float) -> None:
        """Remember how much of a voice or an artist was used."""
        self.heard[group] += amount

    def _turn(self, group: str) -> tuple[float, float, str]:
        """Order voices and artists: least heard first, relative to how much each has."""
        return self.heard[group] * self.turns[group], self.turns[group], group
