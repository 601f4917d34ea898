"""The local token count: near the real vocabulary on every kind of text, lawful, and complete over a conversation."""

from __future__ import annotations

import json
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.core.conversation import (
    Base64,
    Block,
    Conversation,
    Function,
    Media,
    Opaque,
    OutputFormat,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Url,
    WebSearch,
)
from dragoman.core.tokens import UNCOUNTED, Counted, count_text, count_tokens

ENGLISH = """\
The interpreter stood between the two courts and spoke both languages. He had learned the first from his mother, who
sold figs at the harbour gate, and the second from a retired ship's clerk who could not stop talking. When the envoy
arrived with forty camels and a letter that nobody could read, the interpreter was asked to sit at his left hand, to
keep his eyes on the floor, and to say exactly what was said, neither more nor less. It is harder than it sounds. A
polite insult in one language is a compliment in the other; a number that is holy to the first is unlucky to the second;
and every sentence has to begin before the speaker has decided how it should end. By the third evening he had understood
that what the two courts wanted from each other was not grain, silver or safe passage through the mountains, but to be
told that they had been heard. So he began to leave small silences at the end of every sentence, as if he were weighing
it. The envoy noticed, and did the same. The minister noticed as well. Within a week the negotiations, which had failed
for eleven years, were finished, and the interpreter went home with a purse that was heavier than his mother's stall had
earned in its best summer. He gave half of it to the clerk, who talked about it until he died.
"""
PYTHON = '''\
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reading:
    """One measurement of a sensor."""

    sensor_id: str
    celsius: float
    taken_at: int = 0
    tags: dict[str, str] = field(default_factory=dict)


class Smoother:
    """Averages the last ``size`` readings of every sensor."""

    def __init__(self, size: int = 8) -> None:
        self._size = size
        self._windows: dict[str, list[float]] = {}

    def add(self, reading: Reading) -> float:
        window = self._windows.setdefault(reading.sensor_id, [])
        window.append(reading.celsius)
        if len(window) > self._size:
            del window[0]
        return sum(window) / len(window)


async def smooth(readings: AsyncIterator[Reading], smoother: Smoother) -> AsyncIterator[tuple[str, float]]:
    async for reading in readings:
        if reading.celsius < -273.15 or "broken" in reading.tags:
            continue
        yield reading.sensor_id, round(smoother.add(reading), 2)
        await asyncio.sleep(0)


if __name__ == "__main__":
    print(Smoother(size=3).add(Reading("attic", 21.5)))
'''
CHINESE = """\
翻译站在两座宫廷之间，会说两种语言。第一种是从母亲那里学来的，母亲在港口的城门边卖无花果；第二种是跟一位退休的船上书记学的，那人一开口就停不下来。
使节带着四十头骆驼和一封没有人看得懂的信到来的时候，翻译被请到他的左手边坐下，眼睛看着地面，把听到的话原原本本地说出来，不多也不少。这件事比听上去难得多。
一种语言里客气的讽刺，在另一种语言里成了赞美；对这一方来说神圣的数字，对另一方却不吉利；而且每一句话都必须在说话的人还没有想好怎么结束之前就开始翻译。
到了第三天晚上，他明白了，两座宫廷彼此想要的并不是粮食、白银或者穿过山口的平安，而是有人告诉他们：你们说的话，对方已经听见了。
"""
JAPANESE = """\
通訳は二つの宮廷のあいだに立ち、両方の言葉を話した。最初の言葉は港の門でいちじくを売っていた母から、もう一つの言葉は、話し出すと止まらない年老いた船の書記から習ったものだった。
使節が四十頭のらくだと、誰にも読めない一通の手紙を持って到着したとき、通訳は左側に座り、床を見つめ、言われたことをそのまま、多すぎもせず少なすぎもせずに伝えるように命じられた。
それは思ったよりも難しい仕事である。ある言葉での丁寧な皮肉は、もう一方では褒め言葉になる。一方にとって神聖な数は、他方にとっては縁起が悪い。そして、話し手がどう終えるかを決める前に、
すべての文を訳し始めなければならない。三日目の晩、彼は気づいた。二つの宮廷が互いに求めていたのは、穀物でも銀でもなく、自分の話が聞かれたという知らせだったのだ。
"""
KOREAN = """\
통역사는 두 궁정 사이에 서서 두 나라 말을 모두 했다. 첫 번째 말은 항구 문 앞에서 무화과를 팔던 어머니에게 배웠고, 두 번째 말은 한번 이야기를 시작하면 멈추지 않는 늙은 서기에게 배웠다.
사신이 낙타 마흔 마리와 아무도 읽지 못하는 편지를 가지고 도착했을 때, 통역사는 그의 왼쪽에 앉아 바닥을 바라보며 들은 말을 그대로, 더하지도 빼지도 말고 전하라는 명령을 받았다.
그것은 생각보다 어려운 일이다. 한 나라 말로는 공손한 비웃음이 다른 나라 말로는 칭찬이 되고, 한쪽에는 거룩한 숫자가 다른 쪽에는 불길하다. 게다가 말하는 사람이 어떻게 끝맺을지 정하기도 전에
모든 문장을 옮기기 시작해야 한다. 사흘째 저녁에 그는 깨달았다. 두 궁정이 서로에게 바란 것은 곡식도 은도 아니었고, 다만 자기 말을 들었다는 대답이었다.
"""
RUSSIAN = """\
Переводчик стоял между двумя дворами и говорил на обоих языках. Первому он научился у матери, которая продавала инжир у
портовых ворот, второму — у отставного корабельного писаря, который никогда не умолкал. Когда посол прибыл с сорока
верблюдами и письмом, которое никто не мог прочесть, переводчику велели сесть по левую руку, смотреть в пол и повторять
сказанное слово в слово, не прибавляя и не убавляя. Это труднее, чем кажется. Вежливая насмешка на одном языке
становится похвалой на другом; число, священное для одних, приносит несчастье другим; и каждую фразу приходится
начинать прежде, чем говорящий решил, как её закончить. На третий вечер он понял, что дворы хотят друг от друга не
зерна и не серебра, а только одного: чтобы им сказали, что их услышали.
"""
ARABIC = """\
كان المترجم يقف بين البلاطين ويتكلم اللغتين. تعلم الأولى من أمه التي كانت تبيع التين عند بوابة الميناء، وتعلم الثانية من
كاتب سفينة متقاعد لا يتوقف عن الكلام. وعندما وصل المبعوث ومعه أربعون جملا ورسالة لم يستطع أحد أن يقرأها، طلبوا من المترجم
أن يجلس عن يساره، وأن ينظر إلى الأرض، وأن ينقل ما يقال كما يقال، بلا زيادة ولا نقصان. وهذا أصعب مما يبدو. فالسخرية المهذبة
في لغة تصبح مديحا في لغة أخرى، والرقم المقدس عند قوم نذير شؤم عند غيرهم، ولا بد أن تبدأ ترجمة كل جملة قبل أن يقرر المتكلم
كيف ينهيها. وفي مساء اليوم الثالث فهم أن ما يريده كل بلاط من الآخر ليس القمح ولا الفضة، بل أن يقال له إن كلامه قد سمع.
"""
JSON = json.dumps(
    {
        "type": "object",
        "properties": {
            name: {"type": kind, "description": text}
            for name, kind, text in (
                ("order_id", "string", "The id of the order, as it is printed on the invoice"),
                ("max_items", "integer", "How many items to return at most; 50 if not given"),
                ("include_cancelled", "boolean", "Also return items that the customer has cancelled"),
                ("shippedAfter", "string", "ISO 8601 date, for example 2026-11-21T07:26:46Z"),
                ("warehouse", "string", "One of AMS-1, FRA-2 or SIN-10"),
                ("unit_price_cents", "integer", "Price of one unit in cents, without value-added tax"),
                ("labels", "array", "Labels that an item must have, all of them"),
            )
        },
        "required": ["order_id", "max_items"],
        "additionalProperties": False,
    },
    indent=2,
)

# The numbers are tiktoken's for o200k_base.
SAMPLES = {
    "english": (ENGLISH, 284),
    "python": (PYTHON, 301),
    "chinese": (CHINESE, 238),
    "japanese": (JAPANESE, 297),
    "korean": (KOREAN, 248),
    "russian": (RUSSIAN, 220),
    "arabic": (ARABIC, 207),
    "json": (JSON, 279),
    "compact json": (json.dumps(json.loads(JSON), separators=(",", ":")), 190),
    "mixed": (CHINESE + PYTHON + ENGLISH + RUSSIAN, 1043),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_within_15_percent(name: str) -> None:
    text, tokens = SAMPLES[name]
    assert abs(count_text(text) / tokens - 1) < 0.15


def test_small_texts() -> None:
    assert count_text("") == 0
    assert count_text(" ") == 1
    assert count_text("hello") == 1
    assert count_text("\ud800 half a surrogate") >= 1
    assert 1 <= count_text("\N{GRINNING FACE}") <= 6


def test_a_real_vocabulary_is_preferred() -> None:
    assert count_text("hello world", encode=lambda text: 7) == 7
    assert count_text("", encode=lambda text: 7) == 0


# Any text, and texts with much of what the weights look at.
TEXTS = st.one_of(
    st.text(),
    st.text(st.sampled_from("aeA0 \n\t.-_é蜜ひ한яعहi😀і")),
    st.text(st.characters(codec="ascii")),
)
# What one seam between two texts can change: a word that loses its beginning, a pair that forms or falls apart.
SEAM = 12


@settings(max_examples=1000)
@given(TEXTS, TEXTS)
def test_laws(one: str, other: str) -> None:
    first, second, both = count_text(one), count_text(other), count_text(one + other)
    assert first >= (1 if one else 0)
    assert both >= first  # never fewer than the beginning
    assert both >= second - SEAM
    assert abs(both - first - second) <= SEAM


# --- conversations ---------------------------------------------------------------------------------------------------


def talk(*blocks: Block, **more: object) -> Conversation:
    return Conversation(origin="anthropic", turns=(Turn(role="user", blocks=blocks),), **more)  # type: ignore[arg-type]


def words(conversation: Conversation) -> list[str]:
    """The texts that are counted, in order."""
    seen: list[str] = []
    count_tokens(conversation, encode=lambda text: seen.append(text) or 0)  # type: ignore[func-returns-value]
    return seen


def test_a_greeting() -> None:
    """The documents' own example counts 4."""
    assert count_tokens(talk(Text(text="hello"))) == Counted(4, "")
    assert count_tokens(Conversation(origin="anthropic", turns=())) == Counted(0, "")


def test_everything_that_is_read_is_counted() -> None:
    told = talk(
        Text(text="question"),
        Thinking(text="hmm", signature=Signature(origin="anthropic", value="x" * 5000)),
        Refusal(text="no"),
        ToolCall(id="toolu_1", name="search", arguments='{"q":"x"}'),
        ToolResult(call_id="toolu_1", name="search", content=(Text(text="found"), Opaque(origin="anthropic", kind="k", raw={}, text="seen"))),
        ToolResult(call_id="", name="sum", structured={"total": 7}),
        Opaque(origin="anthropic", kind="server_tool_use", raw={"secret": "x" * 900}),
        system=(Text(text="be brief"),),
        tools=(
            Function(name="search", description="finds things", parameters=MappingProxyType({"type": "object"})),
            Function(name="patch", custom=True, format={"type": "grammar"}),
            Opaque(origin="anthropic", kind="bash_20250124", raw={"type": "bash_20250124"}),
            WebSearch(),
        ),
        output_format=OutputFormat(kind="json_schema", schema={"type": "string"}),
    )  # fmt: skip
    assert words(told) == [
        "be brief", "question", "hmm", "no", "search", '{"q":"x"}', "search", "found", "seen", "sum", '{"total":7}',
        "search", "finds things", '{"type":"object"}', "patch", '{"type":"grammar"}', '{"type":"bash_20250124"}',
        '{"type":"string"}',
    ]  # fmt: skip
    assert count_tokens(told).tokens < 150


def test_a_turns_name_counts() -> None:
    assert "bob" in words(
        Conversation(origin="openai_chat", turns=(Turn(role="user", blocks=(), name="bob"),))
    )


@pytest.mark.parametrize(
    "block",
    [
        Media(kind="image", source=Base64(data="A" * 100_000), media_type="image/png"),
        Media(kind="document", source=Url(url="https://example.com/a.pdf")),
        ToolResult(call_id="c", content=(Media(kind="image", source=Base64(data="AAAA")),)),
    ],
)
def test_images_and_files_warn_instead(block: Block) -> None:
    counted = count_tokens(talk(Text(text="hello"), block))
    assert counted.warning == UNCOUNTED
    assert counted.tokens == 4
    assert count_tokens(Conversation(origin="anthropic", turns=(), system=(block,))).warning == UNCOUNTED


def test_more_turns_and_tools_are_more_tokens() -> None:
    one = Conversation(origin="openai_chat", turns=(Turn(role="user", blocks=(Text(text="a"),)),))
    two = Conversation(origin="openai_chat", turns=one.turns * 2)
    tools = Conversation(origin="openai_chat", turns=one.turns, tools=(Function(name="f"),))
    assert count_tokens(one).tokens < count_tokens(two).tokens
    assert count_tokens(one).tokens < count_tokens(tools).tokens
