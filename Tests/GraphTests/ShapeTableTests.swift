import Kernels
import Tensor
import Testing

@testable import Graph

@Suite struct ShapeTableTests {
  @Test func dimensionsFollowTheSymbols() throws {
    let context = try ComputeContext(threads: 1)
    var b = GraphBuilder(opset: 17)
    let x = b.input("x", [1, 1, 4])
    let shape = b.node("Shape", [x])
    let twice = b.node("Concat", [x, x], ["axis": .int(1)])
    let zeros = b.node("ConstantOfShape", [shape])
    b.output(twice)
    b.output(zeros)
    let table = try ShapeTable(
      b.graph, symbols: [.init("batch", base: 2, probe: 3), .init("text", base: 5, probe: 9)], context: context
    ) { (_, sizes) throws(MueError) in (.float32, [sizes[0], sizes[1], 4]) }
    #expect(table.description(of: twice) == ["batch", "2*text", "4"])
    #expect(table.entries[twice]?.isSizeOnly == false)
    #expect(table.entries[zeros]?.isSizeOnly == true)
    #expect(table.axes(of: twice, dependingOn: 1) == [1])
    #expect(table.haveSameShape(x, zeros))
    #expect(!table.haveSameShape(x, twice))
  }

  @Test func aGraphThatReadsBeforeDefiningIsRefused() throws {
    var graph = Graph(opset: 17)
    let missing = graph.addValue("missing")
    let output = graph.addValue("y")
    graph.append(Graph.Node("Relu", name: "relu", inputs: [missing], outputs: [output]))
    graph.addOutput("y", value: output)
    #expect(throws: MueError.self) { try graph.checkInvariants() }
  }
}
