from __future__ import annotations

from typing import Any

import pytest

from dragoman.core.conversation import Cache, Conversation, Function, Loss, Opaque, ToolChoice, WebSearch
from dragoman.core.facts import Facts
from dragoman.core.faults import Fault
from dragoman.core.tools import CUSTOM_PARAMETERS, WireNames
from dragoman.dialects.openai_chat.tools import read_choice, read_tools, write_tools

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def declared(name: str = "f", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


class TestReading:
    def test_the_flat_form_of_responses_is_taken(self) -> None:
        flat = {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": False}
        (tool,) = read_tools({"tools": [flat]})
        assert tool == Function(name="f", description="d", parameters=SCHEMA, strict=False, at=("tools", 0))

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            ({"type": "function", "name": "f"}, ToolChoice(mode="tool", name="f")),
            ({"function": {"name": "f"}}, ToolChoice(mode="tool", name="f")),
            ({"type": "auto"}, ToolChoice(mode="auto")),
            ({"type": "any"}, ToolChoice(mode="required")),
            ("", None),
        ],
    )
    def test_choices_in_other_dialects_words(self, choice: Any, expected: ToolChoice | None) -> None:
        assert read_choice({"tool_choice": choice}) == expected

    def test_functions(self) -> None:
        tool = {
            **declared(description="d", parameters=SCHEMA, strict=True),
            "cache_control": {"type": "ephemeral"},
        }
        assert read_tools({"tools": [tool]}) == (
            Function(
                name="f", description="d", parameters=SCHEMA, strict=True, cache=Cache(), at=("tools", 0)
            ),
        )

    def test_legacy_functions(self) -> None:  # E037
        (tool,) = read_tools({"functions": [{"name": "f", "parameters": SCHEMA}]})
        assert tool == Function(name="f", parameters=SCHEMA, legacy=True, at=("functions", 0))

    def test_custom_tools_have_the_responses_grammar(self) -> None:
        grammar = {"definition": "start: x", "syntax": "lark"}
        custom = {"name": "p", "description": "d", "format": {"type": "grammar", "grammar": grammar}}
        (tool,) = read_tools({"tools": [{"type": "custom", "custom": custom}]})
        assert isinstance(tool, Function)
        assert tool.custom
        assert tool.format == {"type": "grammar", **grammar}

    def test_web_search_is_optional_as_a_tool_and_meant_as_an_option(self) -> None:
        options = {
            "search_context_size": "low",
            "user_location": {"approximate": {"country": "FR", "timezone": "Europe/Paris"}},
        }
        habit, meant = read_tools({"tools": [{"type": "web_search"}], "web_search_options": options})
        assert habit == WebSearch(optional=True, at=("tools", 0))
        assert meant == WebSearch(
            context_size="low", country="FR", timezone="Europe/Paris", at=("web_search_options",)
        )

    def test_unknown_tools_are_opaque(self) -> None:
        raw = {"type": "tomorrow", "x": 1}
        assert read_tools({"tools": [raw]}) == (
            Opaque(origin="openai_chat", kind="tomorrow", raw=raw, at=("tools", 0)),
        )

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"tools": {}}, "tools"),
            ({"tools": [1]}, "tools[0]"),
            ({"tools": [{}]}, "tools[0].type"),
            ({"tools": [{"type": "function"}]}, "tools[0].function"),
            ({"tools": [declared("")]}, "tools[0].function.name"),
            ({"tools": [declared(parameters=[])]}, "tools[0].function.parameters"),
            ({"tools": [declared(strict="yes")]}, "tools[0].function.strict"),
            ({"tools": [{"type": "custom"}]}, "tools[0].custom"),
            ({"functions": [1]}, "functions[0]"),
            ({"functions": [{}]}, "functions[0].name"),
            ({"web_search_options": {"user_location": 1}}, "web_search_options.user_location"),
        ],
    )
    def test_what_cannot_be_is_400_with_its_path(self, body: dict[str, Any], path: str) -> None:
        with pytest.raises(Fault) as caught:
            read_tools(body)
        assert (caught.value.status, caught.value.param) == (400, path)

    @pytest.mark.parametrize(
        ("body", "choice"),
        [
            ({}, None),
            ({"tool_choice": "auto"}, ToolChoice(mode="auto")),
            ({"tool_choice": "none"}, ToolChoice(mode="none")),
            ({"tool_choice": "required"}, ToolChoice(mode="required")),
            ({"tool_choice": declared()}, ToolChoice(mode="tool", name="f")),
            ({"tool_choice": {"type": "custom", "custom": {"name": "p"}}}, ToolChoice(mode="tool", name="p")),
            (
                {
                    "tool_choice": {
                        "type": "allowed_tools",
                        "allowed_tools": {"mode": "required", "tools": [declared("a")]},
                    }
                },
                ToolChoice(mode="required", allowed=("a",)),
            ),
            ({"function_call": "none"}, ToolChoice(mode="none")),
            ({"function_call": {"name": "f"}}, ToolChoice(mode="tool", name="f")),
        ],
    )
    def test_choices(self, body: dict[str, Any], choice: ToolChoice | None) -> None:  # E029, E032, E037
        assert read_choice(body) == choice

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"tool_choice": "perhaps"}, "tool_choice"),
            ({"tool_choice": 1}, "tool_choice"),
            ({"tool_choice": {"type": "x"}}, "tool_choice.type"),
            ({"tool_choice": {"type": "function"}}, "tool_choice.function.name"),
            (
                {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "x"}}},
                "tool_choice.allowed_tools.mode",
            ),
            ({"function_call": "required"}, "function_call"),
        ],
    )
    def test_choices_that_cannot_be(self, body: dict[str, Any], path: str) -> None:
        with pytest.raises(Fault) as caught:
            read_choice(body)
        assert (caught.value.status, caught.value.param) == (400, path)


def write(
    *tools: Any,
    choice: ToolChoice | None = None,
    facts: Facts | None = None,
    origin: Any = "anthropic",
    **more: Any,
) -> tuple[dict[str, Any], list[Loss]]:
    losses: list[Loss] = []
    conversation = Conversation(origin=origin, turns=(), tools=tools, tool_choice=choice, **more)
    return write_tools(conversation, facts or Facts(), WireNames(tools), losses), losses


class TestWriting:
    def test_functions(self) -> None:  # E039
        tool = Function(name="f", description="d", parameters=SCHEMA, strict=False)
        assert write(tool) == ({"tools": [declared(description="d", parameters=SCHEMA, strict=False)]}, [])
        assert write(Function(name="f"))[0] == {"tools": [declared()]}

    @pytest.mark.parametrize(
        ("schema", "written"),
        [
            ({}, {"type": "object", "properties": {}}),
            ({"type": "object"}, {"type": "object", "properties": {}}),
            ({"description": "d"}, {"type": "object", "description": "d", "properties": {}}),
            ({"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}),
            (SCHEMA, SCHEMA),
        ],
    )
    def test_the_root_of_a_schema_is_an_object_with_properties(self, schema: Any, written: Any) -> None:
        """OpenAI: "object schema missing properties"; other vendors do not ask for them."""
        out, _ = write(Function(name="f", parameters=schema))
        assert out["tools"][0]["function"]["parameters"] == written

    def test_free_text_tools_are_functions_with_one_string(self) -> None:  # E040
        tool = Function(name="apply_patch", custom=True, format={"type": "grammar"}, at=("tools", 0))
        body, losses = write(tool, origin="openai_responses")
        assert body == {"tools": [declared("apply_patch", parameters=CUSTOM_PARAMETERS)]}
        assert [loss.at for loss in losses] == [("tools", 0, "format")]

    def test_namespaces_are_flattened(self) -> None:
        tool = Function(name="f", namespace="n")
        body, _ = write(tool, choice=ToolChoice(mode="tool", name="f"))
        assert body["tools"] == [declared("n__f")]
        assert body["tool_choice"] == declared("n__f")

    @pytest.mark.parametrize("mode", ["auto", "none", "required"])
    def test_choice_words(self, mode: Any) -> None:  # E029
        assert write(Function(name="f"), choice=ToolChoice(mode=mode))[0]["tool_choice"] == mode

    def test_without_tools_there_is_no_choice(self) -> None:  # E034
        search = WebSearch(optional=True, at=("tools", 0))
        body, losses = write(search, choice=ToolChoice(mode="required"), parallel_tools=False)
        assert body == {}
        assert [loss.at for loss in losses] == [("tools", 0)]

    def test_only_allowed_tools_are_declared_where_the_upstream_may_not_know_the_choice(self) -> None:  # E032
        tools = (Function(name="a"), Function(name="b"))
        choice = ToolChoice(mode="required", allowed=("a",))
        body, _ = write(*tools, choice=choice)
        assert body == {"tools": [declared("a")], "tool_choice": "required"}
        body, _ = write(*tools, choice=ToolChoice(mode="auto", allowed=("c",)))
        assert len(body["tools"]) == 2
        body, _ = write(*tools, choice=choice, facts=Facts(developer_role=True))
        assert len(body["tools"]) == 2
        assert body["tool_choice"] == {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "required", "tools": [declared("a")]},
        }

    @pytest.mark.parametrize("value", [True, False])
    def test_parallel_calls(self, value: bool) -> None:
        assert write(Function(name="f"), parallel_tools=value)[0]["parallel_tool_calls"] is value

    def test_cache_marks(self) -> None:  # E139
        tool = Function(name="f", cache=Cache(ttl="1h"), at=("tools", 0))
        body, losses = write(tool)
        assert body == {"tools": [declared()]}
        assert [loss.at for loss in losses] == [("tools", 0, "cache_control")]
        body, losses = write(tool, facts=Facts(cache_control=True))
        assert body["tools"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
        assert losses == []

    @pytest.mark.parametrize(
        ("origin", "at", "path"),
        [
            ("anthropic", ("tools", 0), "tools.0.type"),  # E035
            ("gemini", ("tools", 0), "tools[0].googleSearch"),
            ("gemini", ("tools", 0, "googleSearch"), "tools[0].googleSearch"),
            ("openai_chat", ("web_search_options",), "web_search_options"),
        ],
    )
    def test_a_search_that_was_meant_is_400(self, origin: str, at: tuple[str | int, ...], path: str) -> None:
        with pytest.raises(Fault) as caught:
            write(WebSearch(at=at), origin=origin)
        assert caught.value.param == path

    def test_a_search_where_the_model_has_one(self) -> None:
        search = WebSearch(context_size="low", country="FR", city="Paris", max_uses=3, at=("tools", 0))
        body, losses = write(search, facts=Facts(web_search=True))
        assert body == {
            "web_search_options": {
                "search_context_size": "low",
                "user_location": {"type": "approximate", "approximate": {"country": "FR", "city": "Paris"}},
            }
        }
        assert [loss.at for loss in losses] == [("tools", 0, "max_uses")]

    @pytest.mark.parametrize(
        ("origin", "path"), [("openai_responses", "tools[1].type"), ("gemini", "tools[1].codeExecution")]
    )
    def test_foreign_tools_are_400(self, origin: Any, path: str) -> None:
        kind = path.rpartition(".")[2]
        with pytest.raises(Fault) as caught:
            write(Opaque(origin=origin, kind=kind, raw={}, at=("tools", 1)), origin=origin)
        assert caught.value.param == path

    def test_own_unknown_tools_go_back_as_they_were(self) -> None:
        raw = {"type": "tomorrow", "x": 1}
        tool = Opaque(origin="openai_chat", kind="tomorrow", raw=raw, at=("tools", 0))
        assert write(tool, origin="openai_chat")[0] == {"tools": [raw]}
