// Renders API Gateway mapping templates by Apache Velocity itself: one JSON-free case per line of standard input, one result per line.
//
// Fields are base64 of UTF-8, separated by spaces, so that nothing of a case can be mistaken for the protocol:
//   template  body-or-"-"  json-or-"-"  key:value…
// with keys `header:<name>`, `path:<name>` and `context:<a.b.c>`; the answer is `<base64 of the output>` and `key:value` pairs of what it overrides,
// or `error <base64 of the reason>`.
//
// What the objects do is what "Mapping template and access logging variable reference for API Gateway" (AWS) says of them:
//   $input.body, $input.path(x), $input.params().header/path, $util.escapeJavaScript, $util.parseJson, $context.*,
//   $context.responseOverride, of which each may be set once.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.commons.lang.StringEscapeUtils;
import org.apache.velocity.VelocityContext;
import org.apache.velocity.app.VelocityEngine;

public final class Render {
    /** A map that refuses to be written twice at one key: API Gateway answers 5xx then. */
    public static final class Once extends LinkedHashMap<String, Object> {
        @Override
        public Object put(String key, Object value) {
            if (containsKey(key)) {
                throw new IllegalStateException("override " + key + " is set twice");
            }
            return super.put(key, value);
        }
    }

    public static final class Params {
        private final Map<String, String> header = new LinkedHashMap<>();
        private final Map<String, String> path = new LinkedHashMap<>();

        public Map<String, String> getHeader() {
            return header;
        }

        public Map<String, String> getPath() {
            return path;
        }
    }

    public static final class Input {
        private final String body;
        private final Object document;
        private final Params params;

        Input(String body, Object document, Params params) {
            this.body = body;
            this.document = document;
            this.params = params;
        }

        public String getBody() {
            return body;
        }

        public Params params() {
            return params;
        }

        /** `$` and `$.name`, which is all that our templates use. */
        public Object path(String expression) {
            if (expression.equals("$")) {
                return document;
            }
            if (!expression.startsWith("$.") || expression.indexOf('.', 2) >= 0) {
                throw new IllegalArgumentException("not supported here: " + expression);
            }
            return document instanceof Map ? ((Map<?, ?>) document).get(expression.substring(2)) : null;
        }
    }

    public static final class Util {
        public String escapeJavaScript(String text) {
            return StringEscapeUtils.escapeJavaScript(text);
        }

        public Object parseJson(String text) {
            return new Json(text).document();
        }
    }

    /** A small reader of JSON: objects as maps, arrays as lists, numbers as Integer or Double. */
    static final class Json {
        private final String text;
        private int at;

        Json(String text) {
            if (text == null) {
                throw new IllegalArgumentException("parseJson of nothing");
            }
            this.text = text;
        }

        Object document() {
            Object value = value();
            space();
            if (at != text.length()) {
                throw new IllegalArgumentException("not JSON at " + at);
            }
            return value;
        }

        private void space() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
        }

        private char peek() {
            space();
            if (at >= text.length()) {
                throw new IllegalArgumentException("JSON ends too early");
            }
            return text.charAt(at);
        }

        private void expect(char wanted) {
            if (peek() != wanted) {
                throw new IllegalArgumentException("not JSON at " + at + ": " + wanted + " is missing");
            }
            at++;
        }

        private Object word(String word, Object value) {
            if (!text.startsWith(word, at)) {
                throw new IllegalArgumentException("not JSON at " + at);
            }
            at += word.length();
            return value;
        }

        private Object value() {
            switch (peek()) {
                case '{': {
                    Map<String, Object> map = new LinkedHashMap<>();
                    at++;
                    while (peek() != '}') {
                        if (!map.isEmpty()) {
                            expect(',');
                        }
                        peek();
                        String name = string();
                        expect(':');
                        map.put(name, value());
                    }
                    at++;
                    return map;
                }
                case '[': {
                    List<Object> list = new ArrayList<>();
                    at++;
                    while (peek() != ']') {
                        if (!list.isEmpty()) {
                            expect(',');
                        }
                        list.add(value());
                    }
                    at++;
                    return list;
                }
                case '"':
                    return string();
                case 't':
                    return word("true", Boolean.TRUE);
                case 'f':
                    return word("false", Boolean.FALSE);
                case 'n':
                    return word("null", null);
                default: {
                    int from = at;
                    while (at < text.length() && "+-0123456789.eE".indexOf(text.charAt(at)) >= 0) {
                        at++;
                    }
                    String number = text.substring(from, at);
                    return number.matches("-?\\d{1,9}") ? (Object) Integer.valueOf(number) : Double.valueOf(number);
                }
            }
        }

        private String string() {
            expect('"');
            StringBuilder out = new StringBuilder();
            while (true) {
                char c = text.charAt(at++);
                if (c == '"') {
                    return out.toString();
                }
                if (c < ' ') {
                    throw new IllegalArgumentException("a control character in a JSON string");
                }
                if (c != '\\') {
                    out.append(c);
                    continue;
                }
                char escape = text.charAt(at++);
                int index = "\"\\/bfnrt".indexOf(escape);
                if (index >= 0) {
                    out.append("\"\\/\b\f\n\r\t".charAt(index));
                } else if (escape == 'u') {
                    out.append((char) Integer.parseInt(text.substring(at, at + 4), 16));
                    at += 4;
                } else {
                    throw new IllegalArgumentException("the escape \\" + escape + " is not JSON");
                }
            }
        }
    }

    private static String decode(String field) {
        return new String(Base64.getDecoder().decode(field), StandardCharsets.UTF_8);
    }

    private static String encode(String text) {
        return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
    }

    @SuppressWarnings("unchecked")
    private static void set(Map<String, Object> into, String dotted, String value) {
        String[] names = dotted.split("\\.");
        Map<String, Object> map = into;
        for (int index = 0; index < names.length - 1; index++) {
            map = (Map<String, Object>) map.computeIfAbsent(names[index], name -> new LinkedHashMap<String, Object>());
        }
        map.put(names[names.length - 1], value);
    }

    private static String render(VelocityEngine engine, String line) {
        String[] fields = line.split(" ");
        String template = decode(fields[0]);
        String body = fields[1].equals("-") ? null : decode(fields[1]);
        Object document = fields[2].equals("-") ? null : new Json(decode(fields[2])).document();
        Params params = new Params();
        Map<String, Object> context = new LinkedHashMap<>();
        for (int index = 3; index < fields.length; index++) {
            int at = fields[index].indexOf(':');
            String key = decode(fields[index].substring(0, at));
            String value = decode(fields[index].substring(at + 1));
            String name = key.substring(key.indexOf(':') + 1);
            if (key.startsWith("header:")) {
                params.header.put(name, value);
            } else if (key.startsWith("path:")) {
                params.path.put(name, value);
            } else {
                set(context, name, value);
            }
        }
        Once override = new Once();
        Once headers = new Once();
        override.put("header", headers);
        context.put("responseOverride", override);
        VelocityContext velocity = new VelocityContext();
        velocity.put("input", new Input(body, document, params));
        velocity.put("util", new Util());
        velocity.put("context", context);
        velocity.put("stageVariables", new LinkedHashMap<String, String>());
        StringWriter out = new StringWriter();
        engine.evaluate(velocity, out, "template", template);
        StringBuilder result = new StringBuilder(encode(out.toString()));
        override.forEach((name, value) -> {
            if (!name.equals("header")) {
                result.append(' ').append(encode(name)).append(':').append(encode(String.valueOf(value)));
            }
        });
        headers.forEach((name, value) ->
            result.append(' ').append(encode("header:" + name)).append(':').append(encode(String.valueOf(value))));
        return result.toString();
    }

    public static void main(String[] args) throws Exception {
        VelocityEngine engine = new VelocityEngine();
        engine.setProperty("runtime.log.logsystem.class", "org.apache.velocity.runtime.log.NullLogChute");
        engine.init();
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String answer;
            try {
                answer = render(engine, line);
            } catch (Exception error) {
                answer = "error " + encode(String.valueOf(error.getMessage() == null ? error : error.getMessage()));
            }
            out.println(answer);
        }
    }
}
